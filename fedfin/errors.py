"""Every error that a user can meet, each with an exit code.

    FedfinError            1
    ├── SettingsError      3   a settings or plan file: names the file, the key and the remedy
    ├── InputError         4   a case table, image or report that cannot be used at all
    ├── BundleError        5   an encoder bundle that is missing, damaged or not the plan's
    ├── ParityError        6   a quantized encoder that strays too far from its float model
    ├── LinkError          7   the broker cannot be reached, refuses us, or does not answer
    ├── ProtocolError      8   bytes from the network that break the protocol
    ├── StateError         9   a site or aggregator folder that does not allow what was asked
    ├── EvictedError      10   the aggregator dropped this site
    └── MissingExtraError 11   a part that is not installed: names the extra

Exit code 2 is a command line that argparse refuses; 130 is Ctrl-C or SIGTERM, 141 a closed pipe. The message
is what the user reads: it names what, where and the remedy. No message carries data of a patient.
"""

from fedfin.declines import Cause


class FedfinError(Exception):
    """Something went wrong that the user can act on. `declines`: why a site takes no part (declines.py)."""

    exit_code = 1
    declines: Cause | None = None


class SettingsError(FedfinError):
    """A settings or plan file is wrong: which file, which key, what to write instead."""

    exit_code = 3


class InputError(FedfinError):
    """A case table or the data it names cannot be used at all."""

    exit_code = 4


class BundleError(FedfinError):
    """An encoder bundle is missing, damaged, or not the one that the plan asks for."""

    exit_code = 5


class ParityError(FedfinError):
    """The quantized encoder's features stray from the float model's beyond the stated bound."""

    exit_code = 6


class LinkError(FedfinError):
    """The broker cannot be reached, refuses us, or does not answer in time."""

    exit_code = 7


class ProtocolError(FedfinError):
    """Bytes from the network break the protocol; they are refused, never guessed at."""

    exit_code = 8


class StateError(FedfinError):
    """A site or aggregator folder is not in a state that allows what was asked."""

    exit_code = 9


class EvictedError(FedfinError):
    """The aggregator dropped this site, and said why."""

    exit_code = 10


class MissingExtraError(FedfinError):
    """A part of FedFIN is not installed on this machine."""

    exit_code = 11

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the `{extra}` extra: pip install 'fedfin[{extra}]'")
