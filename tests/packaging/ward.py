"""What the people of one small federation type, on one machine: installing, setting up, the study's begin and end."""

import re
import time
from dataclasses import dataclass, field

from federation import make_bundle, make_plan, write_cases
from machine import Machine

from fedfin.encoders.bundle import read_manifest
from fedfin.model.plan_file import plan_toml
from fedfin.trust.request import read_request
from fedfin_aggregator.coordinator import Coordinator

SITE, OTHER = "st-mary", "st-john"
EDGE, AGGREGATOR = f"fedfin-edge@{SITE}", "fedfin-aggregator@ward"
STATES = "/var/lib/fedfin"
STATE = f"{STATES}/edge/{SITE}"
USB, DATA = "/srv/usb", "/srv/fedfin"
BUNDLE = f"{DATA}/bundles/image"


@dataclass
class Table:
    """What was done, in seconds; printed as it grows."""

    machine: Machine
    rows: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        print("| who | command | seconds |\n|---|---|---:|")

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
    """What is there before FedFIN is: an encoder, the hospitals' cases, a password."""
    machine.path(USB).mkdir(parents=True)
    data = machine.path(DATA)
    data.mkdir()
    make_bundle(data / "bundles/image", "image", 6)
    write_cases(data / "cases.jsonl", 1, ("image",))
    write_cases(data / "others.jsonl", 2, ("image",))
    (data / "password").write_text("secret\n")


def bring_plan(machine: Machine, *, rounds: int) -> None:
    """The coordinator's."""
    bundle = {"image": read_manifest(machine.path(BUNDLE))}
    machine.path(f"{USB}/plan.toml").write_text(plan_toml(make_plan(bundle, sites=2, rounds=rounds)))


def install(packages: str) -> str:
    """The command, for the two packages in a folder."""
    return f"apt-get install -y {packages}/fedfin_*.deb {packages}/fedfin-edge_*.deb"


def init(site: str, cases: str) -> str:
    """The command."""
    broker = "--federation ward --broker mqtt://127.0.0.1"
    return f"fedfin edge init {site} --site {site} {broker} --cases {DATA}/{cases}.jsonl --bundle {BUNDLE}"


def first_round(table: Table) -> None:
    """From what is installed to a round that counts; the second site is set up beside the table."""
    machine = table.machine
    table.do("site", f"{init(SITE, 'cases')} --user {SITE} --password-file {DATA}/password")
    table.do("site", f"fedfin edge encode {SITE}")
    table.do("site", f"fedfin edge request {SITE} --out {SITE}.request")
    machine.sh(f"{init(OTHER, 'others')} && fedfin edge encode {OTHER}")
    machine.sh(f"fedfin edge request {OTHER} --out {OTHER}.request")
    table.do("aggregator", f"fedfin aggregator init {USB}/plan.toml ward")
    table.do("aggregator", "fedfin aggregator request ward --out aggregator.request")
    charter = f"fedfin aggregator charter study --plan {USB}/plan.toml --request aggregator.request"
    table.do("coordinator", f"{charter} --fingerprint '{fingerprint(machine, 'aggregator')}'")
    prints = " ".join(f"--fingerprint '{fingerprint(machine, name)}'" for name in (SITE, OTHER))
    admit = f"fedfin aggregator admit study {SITE}.request {OTHER}.request --cases 5000"
    table.do("coordinator", f"{admit} {prints}")
    own = coordinators(machine)
    table.do("aggregator", f"fedfin aggregator accept ward study/charter --fingerprint '{own}'")
    serve = "fedfin aggregator service install ward --broker mqtt://127.0.0.1"
    table.do("aggregator", serve, until=f"systemctl is-active --quiet {AGGREGATOR}")
    table.do("site", accept(SITE, own))
    table.do("site", f"fedfin edge service install {SITE}", until=heard(EDGE, "received"))


def accept(site: str, own: str) -> str:
    """The command."""
    return f"fedfin edge accept {site} study/admissions/{site}.admission --fingerprint '{own}'"


def join(machine: Machine) -> None:
    """The second site comes."""
    machine.sh(f"{accept(OTHER, coordinators(machine))} && fedfin edge service install {OTHER}")


def end(machine: Machine) -> None:
    """Wait for the study's. Raises RuntimeError where the three have not the same model in the end."""
    machine.wait(heard(EDGE, "finished"), 300)
    finals = [f"{STATES}/aggregator/ward/final.fedfin"]
    finals += [f"{STATES}/edge/{site}/state/final.fedfin" for site in (SITE, OTHER)]
    for path in finals:
        machine.wait(f"test -e {path}", 300)
    sums = machine.sh(f"sha256sum {' '.join(finals)} | cut -d' ' -f1 | sort -u")
    expect(len(sums.split()) == 1, f"the final models differ: {sums}")
    print("\nthe federation ended; one final model at the aggregator and both sites\n")


def leave(table: Table) -> None:
    """The three services go."""
    table.do("site", f"fedfin edge service uninstall {SITE} --yes")
    table.machine.sh(f"fedfin edge service uninstall {OTHER} --yes")
    table.do("aggregator", "fedfin aggregator service uninstall ward --yes")


def purge(table: Table) -> None:
    """The packages go."""
    table.do("remove", "apt-get purge -y fedfin fedfin-edge")


def heard(unit: str, event: str) -> str:
    """A command that succeeds once a service has reported that."""
    return f'journalctl -o cat -u {unit} | grep -q \'"event": "{event}"\''


def fingerprint(machine: Machine, name: str) -> str:
    """As the owner of a request reads it out on the telephone."""
    return read_request(machine.path(f"/root/{name}.request")).keys.fingerprint


def coordinators(machine: Machine) -> str:
    """As the coordinator reads it out on the telephone."""
    return Coordinator(machine.path("/root/study")).charter.fingerprint


def expect(right: bool, what: str) -> None:
    """Raises RuntimeError where that is not so."""
    if not right:
        raise RuntimeError(what)
