"""Units of systemd, one template for each service: `fedfin-edge@st-mary` is the site in /var/lib/fedfin/edge/st-mary.

examples/ holds what this makes, the Debian package and `service install` install it: there is one truth.
"""

from dataclasses import dataclass

from fedfin.service.sandbox import SANDBOX

USER = "fedfin"
STATE = "/var/lib/fedfin"
SETTINGS = "/etc/fedfin"
PROGRAM = "/usr/bin/fedfin"
OPTIONS = "FEDFIN_OPTIONS"  # the variable with the command's other options, one NAME.env for each service

# More than the broker's.
_STRICTER = """\
PrivateUsers=true
PrivateMounts=true
KeyringMode=private
DevicePolicy=closed
SystemCallFilter=~@privileged @resources @obsolete
SystemCallErrorNumber=EPERM
"""


@dataclass(frozen=True)
class Service:
    """`name`: of its unit; `group`: of `fedfin GROUP`, whose folder it works in; `command`: what of the group runs.

    `what`: for people, `%i` is the folder's name. `for_a_person`: exit codes that only a person can correct
    (README.md): there is no use in another start.
    """

    name: str
    group: str
    command: str
    what: str
    for_a_person: str

    @property
    def unit(self) -> str:
        """The template's file name."""
        return f"fedfin-{self.name}@.service"

    def instance(self, folder: str) -> str:
        """The unit of the folder of this name."""
        return f"fedfin-{self.name}@{folder}.service"


EDGE = Service("edge", "edge", "run", "FedFIN site %i", "2 3 4 5 8 9 10 11")
INTAKE = Service(
    "intake", "edge", "intake", "FedFIN intake of %i", "2 3 4 5 11"
)  # 9 may be a full disk: it passes
AGGREGATOR = Service("aggregator", "aggregator", "serve", "FedFIN aggregator of %i", "2 3 8 9 11")
SERVICES = (EDGE, INTAKE, AGGREGATOR)


def text(service: Service, program: str = PROGRAM) -> str:
    """The template.

    A service that fails because of the network waits for two minutes by itself before it fails: with RestartSec it asks
    24 times an hour, for as long as it takes; so it does not ask systemd to wait for a network either. Where systemd is
    254 or newer, `service install` adds longer pauses.
    """
    return f"""\
# {service.what}: by `fedfin {service.group} service install`, or the Debian package (docs/install.md).
[Unit]
Description={service.what}
After=network-online.target
StartLimitIntervalSec=0
ConditionPathExists={STATE}/{service.group}/%i

[Service]
Type=notify
NotifyAccess=main
Environment={OPTIONS}=--json OMP_NUM_THREADS=2
EnvironmentFile=-{SETTINGS}/{service.name}-%i.env
ExecStart={program} {service.group} {service.command} {STATE}/{service.group}/%i ${OPTIONS}
StateDirectory=fedfin/{service.group}/%i
StateDirectoryMode=0700
User={USER}
Group={USER}
Restart=on-failure
RestartSec=30
# No restart for what only a person can correct (README.md, exit codes).
RestartPreventExitStatus={service.for_a_person}
# Ended by SIGTERM, with last words.
SuccessExitStatus=130
# What computes is ended by the service itself.
KillMode=mixed
TimeoutStopSec=10
TimeoutStartSec=60
WatchdogSec=120
{SANDBOX}{_STRICTER}
[Install]
WantedBy=multi-user.target
"""
