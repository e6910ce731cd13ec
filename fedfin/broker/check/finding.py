"""What a probe found."""

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """FAIL: a federation will not work, or somebody may do what they must not. WARN: it works, but see the remedy."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    probe: str
    verdict: Verdict
    says: str
    remedy: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is a FAIL: then what comes after it cannot be asked."""
        return self.verdict is Verdict.FAIL


def passed(probe: str, says: str) -> Finding:
    """As it should be."""
    return Finding(probe, Verdict.PASS, says)


def warn(probe: str, says: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(probe, Verdict.WARN, says, remedy)


def fail(probe: str, says: str, remedy: str) -> Finding:
    """It does not work, or must not."""
    return Finding(probe, Verdict.FAIL, says, remedy)
