"""From a clean Debian 12 to the first round and away again, as a new user would: a table of commands and minutes.

    make deb && make test-deb        as root; the packages of build/deb, systemd in a container without a network

A hospital's engineer installs, sets a site up and runs it as a service; the same machine is the coordinator and the
aggregator, too. In the end everything is removed, and what is left of it is listed. Ends with 1 where something is.
"""

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from federation import make_bundle, make_plan, write_cases
from machine import BUILD, Machine, booted

from fedfin.plan import plan_toml

SITE, ROUNDS = "st-mary", 3
EDGE, AGGREGATOR = f"fedfin-edge@{SITE}", "fedfin-aggregator@ward"
STATE = f"/var/lib/fedfin/edge/{SITE}"
USER = "setpriv --reuid=fedfin --regid=fedfin --clear-groups"


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
        print(f"| {who} | `{command}` | {seconds:.1f} |", flush=True)
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
    (data / "password").write_text("secret\n")
    (usb / "plan.toml").write_text(plan_toml(make_plan(bundle, sites=1, rounds=ROUNDS)))


def packages() -> list[Path]:
    """The two of build/deb for this architecture. SystemExit where there are none."""
    found = sorted(BUILD.glob("fedfin*_0.1.0_amd64.deb"))
    if len(found) != 2:
        sys.exit(f"{BUILD} has no packages: make deb")
    return found


def first_round(table: Table) -> None:
    """From nothing to a round that counts."""
    table.do("install", "apt-get install -y /srv/usb/fedfin_*.deb /srv/usb/fedfin-edge_*.deb")
    table.do(
        "site",
        f"fedfin edge init {SITE} --site {SITE} --federation ward --broker mqtt://127.0.0.1 --user {SITE}"
        " --password-file /srv/fedfin/password --cases /srv/fedfin/cases.jsonl --bundle /srv/fedfin/bundles/image",
    )
    table.do("site", f"fedfin edge encode {SITE}")
    table.do("site", f"fedfin edge request {SITE} --out {SITE}.request")
    table.do("aggregator", "fedfin aggregator init /srv/usb/plan.toml ward")
    table.do("aggregator", "fedfin aggregator request ward --out aggregator.request")
    asked = fingerprint(table.machine, "aggregator.request"), fingerprint(table.machine, f"{SITE}.request")
    charter = "fedfin aggregator charter study --plan /srv/usb/plan.toml --request aggregator.request"
    table.do("coordinator", f"{charter} --fingerprint '{asked[0]}'")
    table.do(
        "coordinator", f"fedfin aggregator admit study {SITE}.request --cases 5000 --fingerprint '{asked[1]}'"
    )
    own = coordinators(table.machine)
    table.do("aggregator", f"fedfin aggregator accept ward study/charter --fingerprint '{own}'")
    serve = "fedfin aggregator service install ward --broker mqtt://127.0.0.1"
    table.do("aggregator", serve, until=f"systemctl is-active --quiet {AGGREGATOR}")
    table.do("site", f"fedfin edge accept {SITE} study/admissions/{SITE}.admission --fingerprint '{own}'")
    table.do("site", f"fedfin edge service install {SITE}", until=heard("received"))


def heard(event: str, unit: str = EDGE) -> str:
    """A command that succeeds once the service has reported that."""
    return f'journalctl -o cat -u {unit} | grep -q \'"event": "{event}"\''


def fingerprint(machine: Machine, request: str) -> str:
    """As its owner reads it out on the telephone."""
    code = "from pathlib import Path;from fedfin.trust.request import read_request as r"
    return python(machine, f"{code};print(r(Path('{request}')).keys.fingerprint)")


def coordinators(machine: Machine) -> str:
    """As the coordinator reads it out on the telephone."""
    code = "from pathlib import Path;from fedfin_aggregator.coordinator import Coordinator as c"
    return python(machine, f"{code};print(c(Path('study')).charter.fingerprint)")


def python(machine: Machine, code: str) -> str:
    """What the package's Python prints."""
    return machine.sh(f"python3 -IBc \"import sys;sys.path.insert(0,'/usr/lib/fedfin');{code}\"").strip()


def check_service(machine: Machine) -> None:
    """Own user, own files, systemd's judgement, and an end within ten seconds that loses nothing."""
    status = machine.sh(f"fedfin edge service status {SITE}")
    expect("state: active" in status, status)
    expect(
        machine.sh("ps -o user= -C fedfin | sort -u || true").strip() in {"", "fedfin"},
        "another user runs it",
    )
    others = machine.sh("find /var/lib/fedfin/edge/* -perm /077 -o ! -user fedfin")
    expect(not others, f"others may look into these: {others}")
    expect("secrets/password" in machine.sh(f"cat {STATE}/site.toml"), "the password is where it was")


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
        print(
            f"\nFirst round after {len(table.rows)} commands and {sum(s for _, s in table.rows) / 60:.1f} minutes.\n"
        )
        check_service(machine)
        print(
            machine.sh(
                f"fedfin edge service status {SITE}; systemd-analyze security --no-pager {EDGE} | tail -1"
            )
        )
        table.do("site", f"fedfin edge service uninstall {SITE} --yes")
        table.do("aggregator", "fedfin aggregator service uninstall ward --yes")
        table.do("remove", "apt-get purge -y fedfin fedfin-edge")
        after = machine.files()
        left = sorted(after.keys() - before.keys()) + sorted(
            k for k in before.keys() & after if before[k] != after[k]
        )
        gone = sorted(before.keys() - after.keys())
        print(f"files left or changed: {left or 'none'}; files gone: {gone or 'none'}")
        return 1 if left or gone else 0


if __name__ == "__main__":
    sys.exit(main())
