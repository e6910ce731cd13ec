"""From a clean Debian 12 to the first round and away again, as a new user would: a table of commands and minutes.

    make deb && make test-deb        as root; the packages of build/deb, systemd in a container without a network
    make test-deb PARTS=upgrade      this alone

`packages`: a hospital's engineer installs, sets a site up and runs it as a service; the same machine is the coordinator
and the aggregator, too. While the first round waits for a second site, the service is stopped and the packages are put
over themselves; then the second site comes, and the federation ends. Then the folders of a federation that an earlier
version left in the middle (tests/upgrades) become services and come to their end, and a site with an intake takes a
study. `upgrade`: a study that an earlier version's packages began goes on with these. `pip`: services of a virtual
environment.

Each has a clean machine. Last, everything is removed, and what is left of it is listed. Ends with 1 where something is.
"""

import re
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from machine import BUILD, Machine, booted
from ward import (
    AGGREGATOR,
    EDGE,
    SITE,
    STATE,
    STATES,
    USB,
    Table,
    bring,
    bring_plan,
    end,
    expect,
    first_round,
    install,
    join,
    leave,
    purge,
)
from with_earlier import REVISION, make_packages, try_upgrade
from with_intake import try_intake
from with_pip import try_pip

EARLIER = Path(__file__).parents[1] / "upgrades/before-formats.tar.gz"


def packages() -> list[Path]:
    """The two of build/deb for this architecture. SystemExit where there are none."""
    found = sorted(BUILD.glob("fedfin*_0.1.0+py3.11_amd64.deb"))
    if len(found) != 2:
        sys.exit(f"{BUILD} has no packages: make deb")
    return found


def try_packages(table: Table) -> None:
    """The new version alone."""
    machine = table.machine
    bring_plan(machine, rounds=3)
    table.do("install", install(USB))
    first_round(table)
    minutes = sum(seconds for _, seconds in table.rows) / 60
    print(f"\nFirst round after {len(table.rows)} commands and {minutes:.1f} minutes.\n")
    check_service(machine)
    stop_and_upgrade(table)
    leave(table)
    take_over(machine)
    try_intake(machine)
    purge(table)


PARTS = {"packages": try_packages, "upgrade": try_upgrade, "pip": try_pip}


def check_service(machine: Machine) -> None:
    """It runs, as its own user, with files that are its own alone; the password is among them."""
    status = machine.sh(f"fedfin edge service status {SITE}")
    expect("state: active" in status, status)
    user = machine.sh(
        f"ps -o user= -p $(systemctl show -P MainPID {EDGE}) 2>/dev/null || echo fedfin"
    ).strip()
    expect(user == "fedfin", f"{user} runs it")
    others = machine.sh(f"find {STATES}/edge/* -perm /077 -o ! -user fedfin")
    expect(not others, f"others may look into these: {others}")
    expect('"secrets/password"' in machine.sh(f"cat {STATE}/site.toml"), "the password is where it was")
    print(status + exposure(machine))
    restrict(machine)
    print(f"speaking to no address but the broker's:\n{exposure(machine)}")


def exposure(machine: Machine) -> str:
    """What systemd makes of the sandboxes, 10 the worst."""
    return machine.sh(f"systemd-analyze security --no-pager {EDGE} {AGGREGATOR} | grep Overall")


def restrict(machine: Machine) -> None:
    """By a setting of this machine's own, which goes with the service."""
    folder = machine.path(f"/etc/systemd/system/{EDGE}.service.d")
    folder.mkdir()
    (folder / "override.conf").write_text("[Service]\nIPAddressDeny=any\nIPAddressAllow=localhost\n")
    machine.sh(f"systemctl daemon-reload && systemctl restart {EDGE}")


def stop_and_upgrade(table: Table) -> None:
    """In the middle of a round: neither loses anything."""
    machine, started = table.machine, time.monotonic()
    machine.sh(f"systemctl stop {EDGE}")
    print(f"stopped after {time.monotonic() - started:.1f} s\n")
    machine.sh(f"systemctl start {EDGE}")
    break_off(machine)
    again = install(USB).replace("install", "install --reinstall -o Dpkg::Options::=--force-unsafe-io")
    table.do("upgrade", again, until=f"systemctl is-active --quiet {EDGE} {AGGREGATOR}")
    join(machine)
    end(machine)


def break_off(machine: Machine) -> None:
    """An upgrade whose package ends in its middle: dpkg takes it back, and what ran runs again."""
    started = f"systemctl show -P InvocationID {EDGE} {AGGREGATOR}"
    before = set(machine.sh(started).split())
    machine.sh(f"head -c 4M {USB}/fedfin_*.deb > cut.deb; ! dpkg -i cut.deb; rm cut.deb")
    machine.sh(f"systemctl is-active --quiet {EDGE} && systemctl is-active --quiet {AGGREGATOR}")
    expect(before.isdisjoint(machine.sh(started).split()), "services of what was exchanged were not stopped")
    print("an upgrade broke off, and both services were at work again")


def take_over(machine: Machine) -> None:
    """The folders of the last version that numbered nothing: `service install`, and they come to their end."""
    folder = machine.path("/srv/earlier")
    with tarfile.open(EARLIER) as archive:
        archive.extractall(folder, filter="data")
    for settings in folder.glob("ward/*/site.toml"):
        text = settings.read_text().replace("@FOLDER@", "/srv/earlier/ward")
        settings.write_text(re.sub(r"(?m)^broker = .*", 'broker = "mqtt://127.0.0.1"', text))
    sites = sorted(path.parent.name for path in folder.glob("ward/*/site.toml"))
    service = "service install --no-keys --text"
    machine.sh(f"fedfin aggregator {service} --broker mqtt://127.0.0.1 /srv/earlier/ward/agg")
    for name in sites:
        machine.sh(f"fedfin edge {service} /srv/earlier/ward/{name}")
    machine.wait(f"test -e {STATES}/aggregator/agg/final.fedfin", 300)
    print(f"taken over from an earlier version, to the end: {', '.join(sites)} and their aggregator\n")
    machine.sh("fedfin aggregator service uninstall agg --yes; rm -r /srv/earlier")
    for name in sites:
        machine.sh(f"fedfin edge service uninstall {name} --yes")


def main() -> int:
    """All of it, or what the command line names. SystemExit where there is no such part."""
    parts = sys.argv[1:] or [*PARTS]
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"{', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    if "upgrade" in parts and not make_packages():
        parts.remove("upgrade")
        print(f"No upgrade from an earlier version: the history of this clone ends before {REVISION[:7]}.")
    return max([on_a_clean_machine(name) for name in parts], default=0)


def on_a_clean_machine(part: str) -> int:
    """One part, and what is left of it."""
    print(f"\n## {part}\n")
    with tempfile.TemporaryDirectory(dir=BUILD) as name, booted(Path(name) / part) as machine:
        bring(machine)
        for path in packages():
            machine.path(f"{USB}/{path.name}").write_bytes(path.read_bytes())
        before = machine.files()
        PARTS[part](Table(machine))
        return report(before, machine.files())


def report(before: dict[str, str], after: dict[str, str]) -> int:
    """What differs from the clean system; 1 where something does."""
    left = sorted(after.keys() - before.keys())
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    gone = sorted(before.keys() - after.keys())
    print(f"\nfiles left: {left or 'none'}; changed: {changed or 'none'}; gone: {gone or 'none'}")
    return 1 if left or changed or gone else 0


if __name__ == "__main__":
    sys.exit(main())
