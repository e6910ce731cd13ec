"""From a clean Debian 12 to the first round and away again, as a new user would: a table of commands and minutes.

    make deb && make test-deb        as root; the packages of build/deb, systemd in a container without a network

A hospital's engineer installs, sets a site up and runs it as a service; the same machine is the coordinator and the
aggregator, too. While the first round waits for a second site, the service is stopped and the packages are put over
themselves; then the second site comes, and the federation ends. Then the folders of a federation that an earlier
version left in the middle (tests/upgrades) become services and come to their end, and a site with an intake takes a
study. Last, everything is removed, and what is left of it is listed. Ends with 1 where something is.
"""

import re
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from federation import make_bundle, make_plan, write_cases
from machine import BUILD, Machine, booted
from with_intake import try_intake

from fedfin.model.plan_file import plan_toml

SITE, OTHER, ROUNDS = "st-mary", "st-john", 3
EDGE, AGGREGATOR = f"fedfin-edge@{SITE}", "fedfin-aggregator@ward"
STATES = "/var/lib/fedfin"
STATE = f"{STATES}/edge/{SITE}"
EARLIER = Path(__file__).parents[1] / "upgrades/before-formats.tar.gz"
BUNDLE = "/srv/fedfin/bundles/image"


@dataclass
class Table:
    """What was done, in seconds; printed as it grows."""

    machine: Machine
    rows: list[tuple[str, float]] = field(default_factory=list)

    def do(self, who: str, command: str, *, until: str | None = None) -> str:
        """One command of a person's; `until`: what must be true before the next."""
        started = time.monotonic()
        printed = self.machine.sh(command)
        if until is not None:
            self.machine.wait(until)
        seconds = time.monotonic() - started
        self.rows.append((who, seconds))
        shown = re.sub(r"'[0-9a-f ]{39}'", "…", command)
        print(f"| {who} | `{shown}` | {seconds:.1f} |", flush=True)
        return printed


def bring(machine: Machine) -> None:
    """What a person carries in: packages, the coordinator's files, and the hospital's cases."""
    usb, data = machine.root / "srv/usb", machine.root / "srv/fedfin"
    for folder in (usb, data):
        folder.mkdir(parents=True)
    for name in packages():
        (usb / name.name).write_bytes(name.read_bytes())
    bundle = {"image": make_bundle(data / "bundles/image", "image", 6)}
    write_cases(data / "cases.jsonl", 1, ("image",))
    write_cases(data / "others.jsonl", 2, ("image",))
    (data / "password").write_text("secret\n")
    (usb / "plan.toml").write_text(plan_toml(make_plan(bundle, sites=2, rounds=ROUNDS)))


def packages() -> list[Path]:
    """The two of build/deb for this architecture. SystemExit where there are none."""
    found = sorted(BUILD.glob("fedfin*_0.1.0_amd64.deb"))
    if len(found) != 2:
        sys.exit(f"{BUILD} has no packages: make deb")
    return found


def init(site: str, cases: str) -> str:
    """The command."""
    broker = "--federation ward --broker mqtt://127.0.0.1"
    return (
        f"fedfin edge init {site} --site {site} {broker} --cases /srv/fedfin/{cases}.jsonl --bundle {BUNDLE}"
    )


def first_round(table: Table) -> None:
    """From nothing to a round that counts; the second site is set up beside the table."""
    machine = table.machine
    table.do("install", "apt-get install -y /srv/usb/fedfin_*.deb /srv/usb/fedfin-edge_*.deb")
    table.do("site", f"{init(SITE, 'cases')} --user {SITE} --password-file /srv/fedfin/password")
    table.do("site", f"fedfin edge encode {SITE}")
    table.do("site", f"fedfin edge request {SITE} --out {SITE}.request")
    machine.sh(f"{init(OTHER, 'others')} && fedfin edge encode {OTHER}")
    machine.sh(f"fedfin edge request {OTHER} --out {OTHER}.request")
    table.do("aggregator", "fedfin aggregator init /srv/usb/plan.toml ward")
    table.do("aggregator", "fedfin aggregator request ward --out aggregator.request")
    charter = "fedfin aggregator charter study --plan /srv/usb/plan.toml --request aggregator.request"
    table.do("coordinator", f"{charter} --fingerprint '{fingerprint(machine, 'aggregator')}'")
    prints = " ".join(f"--fingerprint '{fingerprint(machine, name)}'" for name in (SITE, OTHER))
    admit = f"fedfin aggregator admit study {SITE}.request {OTHER}.request --cases 5000"
    table.do("coordinator", f"{admit} {prints}")
    own = coordinators(machine)
    table.do("aggregator", f"fedfin aggregator accept ward study/charter --fingerprint '{own}'")
    serve = "fedfin aggregator service install ward --broker mqtt://127.0.0.1"
    table.do("aggregator", serve, until=f"systemctl is-active --quiet {AGGREGATOR}")
    table.do("site", accept(SITE, own))
    table.do("site", f"fedfin edge service install {SITE}", until=heard("received"))


def accept(site: str, own: str) -> str:
    """The command."""
    return f"fedfin edge accept {site} study/admissions/{site}.admission --fingerprint '{own}'"


def heard(event: str) -> str:
    """A command that succeeds once the site's service has reported that."""
    return f'journalctl -o cat -u {EDGE} | grep -q \'"event": "{event}"\''


def fingerprint(machine: Machine, name: str) -> str:
    """As the owner of a request reads it out on the telephone."""
    code = "from pathlib import Path;from fedfin.trust.request import read_request as r"
    return python(machine, f"{code};print(r(Path('{name}.request')).keys.fingerprint)")


def coordinators(machine: Machine) -> str:
    """As the coordinator reads it out on the telephone."""
    code = "from pathlib import Path;from fedfin_aggregator.coordinator import Coordinator as c"
    return python(machine, f"{code};print(c(Path('study')).charter.fingerprint)")


def python(machine: Machine, code: str) -> str:
    """What the package's Python prints."""
    return machine.sh(f"python3 -IBc \"import sys;sys.path.insert(0,'/usr/lib/fedfin');{code}\"").strip()


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
    print(status + machine.sh(f"systemd-analyze security --no-pager {EDGE} | tail -1"))


def stop_and_upgrade(table: Table) -> None:
    """In the middle of a round: neither loses anything."""
    machine, started = table.machine, time.monotonic()
    machine.sh(f"systemctl stop {EDGE}")
    print(f"stopped after {time.monotonic() - started:.1f} s\n")
    machine.sh(f"systemctl start {EDGE}")
    upgrade = "apt-get install -y --reinstall /srv/usb/fedfin_*.deb /srv/usb/fedfin-edge_*.deb"
    table.do("upgrade", upgrade, until=f"systemctl is-active --quiet {EDGE} {AGGREGATOR}")
    machine.sh(f"{accept(OTHER, coordinators(machine))} && fedfin edge service install {OTHER}")
    machine.wait(heard("finished"), 300)
    machine.wait(f"test -e {STATES}/aggregator/ward/final.fedfin", 300)
    finals = f"{STATES}/aggregator/ward/final.fedfin {STATES}/edge/{{{SITE},{OTHER}}}/state/final.fedfin"
    sums = machine.sh(f"sha256sum {finals} | cut -d' ' -f1 | sort -u")
    expect(len(sums.split()) == 1, f"the final models differ: {sums}")
    print("\nthe federation ended; one final model at the aggregator and both sites\n")


def take_over(machine: Machine) -> None:
    """The folders of the last version that numbered nothing: `service install`, and they come to their end."""
    folder = machine.root / "srv/earlier"
    with tarfile.open(EARLIER) as archive:
        archive.extractall(folder, filter="data")
    for settings in folder.glob("ward/*/site.toml"):
        text = settings.read_text().replace("@FOLDER@", "/srv/earlier/ward")
        settings.write_text(re.sub(r"(?m)^broker = .*", 'broker = "mqtt://127.0.0.1"', text))
    sites = sorted(path.parent.name for path in folder.glob("ward/*/site.toml"))
    install = "service install --no-keys --text"
    machine.sh(f"fedfin aggregator {install} --broker mqtt://127.0.0.1 /srv/earlier/ward/agg")
    for name in sites:
        machine.sh(f"fedfin edge {install} /srv/earlier/ward/{name}")
    machine.wait(f"test -e {STATES}/aggregator/agg/final.fedfin", 300)
    print(f"taken over from an earlier version, to the end: {', '.join(sites)} and their aggregator\n")
    machine.sh("fedfin aggregator service uninstall agg --yes; rm -r /srv/earlier")
    for name in sites:
        machine.sh(f"fedfin edge service uninstall {name} --yes")


def expect(right: bool, what: str) -> None:
    """Raises RuntimeError where that is not so."""
    if not right:
        raise RuntimeError(what)


def main() -> int:
    """All of it."""
    with tempfile.TemporaryDirectory(dir=BUILD) as name, booted(Path(name) / "clean") as machine:
        bring(machine)
        before = machine.files()
        table = Table(machine)
        print("| who | command | seconds |\n|---|---|---:|")
        first_round(table)
        minutes = sum(seconds for _, seconds in table.rows) / 60
        print(f"\nFirst round after {len(table.rows)} commands and {minutes:.1f} minutes.\n")
        check_service(machine)
        stop_and_upgrade(table)
        table.do("site", f"fedfin edge service uninstall {SITE} --yes")
        machine.sh(f"fedfin edge service uninstall {OTHER} --yes")
        table.do("aggregator", "fedfin aggregator service uninstall ward --yes")
        take_over(machine)
        try_intake(machine)
        table.do("remove", "apt-get purge -y fedfin fedfin-edge")
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
