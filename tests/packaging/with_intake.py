"""A site with an intake becomes two services: DICOM's own port, a token that moves, a folder that is emptied.

First the intake alone, since no cases are fixed yet; then, from what it took, the site, too.
"""

from edge_sites import make_image_bundle
from intake_kit import studies
from machine import Machine

NAME = "st-anne"
STATE = f"/var/lib/fedfin/edge/{NAME}"
SERVICES = f"fedfin-intake@{NAME} fedfin-edge@{NAME}"
BROUGHT = "/srv/usb/intake"
(STUDY,) = studies(1)
SOURCES = f"""
[intake.dicom]
port = 104
[intake.folder]
path = "{BROUGHT}/new"
remove = true
[intake.dicomweb]
url = "http://127.0.0.1:9"
token_file = "{BROUGHT}/token"
"""


def try_intake(machine: Machine) -> None:
    """Install, take a study, fix the cases, take part, stop, search the journal, uninstall.

    Raises RuntimeError at what is not so.
    """
    bring(machine)
    site = f"--site {NAME} --federation ward --broker mqtt://127.0.0.1"
    machine.sh(f"fedfin edge init {NAME} {site} --intake --bundle {BROUGHT}/image --label effusion")
    with machine.path(f"/root/{NAME}/site.toml").open("a") as settings:
        settings.write(SOURCES)
    machine.sh(f"fedfin edge service install {NAME}")
    machine.wait(f"journalctl -o cat -u fedfin-intake@{NAME} | grep -q '\"taken\": 1,'")
    machine.sh(f'test -z "$(ls {BROUGHT}/new)" && cat {STATE}/secrets/token')
    machine.sh("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 104))'")
    machine.sh(f"su -s /bin/sh fedfin -c 'fedfin edge encode {STATE}'")
    machine.sh(f"fedfin edge service install --no-keys {STATE}")
    machine.sh(f"fedfin edge service status {NAME}")
    print(machine.sh(f"systemd-analyze security --no-pager fedfin-intake@{NAME} | tail -1"))
    machine.sh(f"timeout 10 systemctl stop {SERVICES}")
    planted = "|".join((STUDY.accession, STUDY.patient, *STUDY.name.split("^")))
    machine.sh(
        f"journalctl -u fedfin-intake@{NAME} -u fedfin-edge@{NAME} >/root/journal && test -s /root/journal"
    )
    machine.sh(f"! grep -wE '{planted}' /root/journal && rm /root/journal")
    machine.sh(f"fedfin edge service uninstall {NAME} --yes; rm -r {BROUGHT}")
    print("an intake took a study as a service, its site took part, and both went again\n")


def bring(machine: Machine) -> None:
    """An encoder, a token, and a study that the services' user may take away."""
    folder = machine.path(BROUGHT)
    make_image_bundle(folder / "image")
    (folder / "new").mkdir()
    (folder / f"new/{STUDY.name} {STUDY.accession}.dcm").write_bytes(STUDY.view())
    (folder / "token").write_text("secret\n")
    machine.sh(f"chmod -R a+rX {BROUGHT} && chown fedfin: {BROUGHT}/new")
