"""What a probe found."""

from dataclasses import dataclass
from enum import Enum

from fedfin.plain_text import plain_text


class Verdict(str, Enum):
    """FAIL: a federation will not work, or somebody may do what they must not. WARN: it works, but see the remedy.

    NOT_REACHED: another thing must be mended, or be there, before it can be asked.
    """

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    WARN = "WARN"
    FAIL = "FAIL"
    NOT_REACHED = "----"


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


def not_reached(probe: str, because: str) -> Finding:
    """It was not asked: nothing is known of it, and it is to blame for nothing."""
    return Finding(probe, Verdict.NOT_REACHED, f"not reached because {because}")


def failed_by(probe: str, error: Exception) -> Finding:
    """What an error of ours says: the last part of it is the remedy."""
    says, semicolon, remedy = str(error).rpartition("; ")
    return fail(probe, says, remedy) if semicolon else fail(probe, str(error), "do what it says")


def in_words(finding: Finding) -> str:
    """As a line; a certificate may hold any text that its maker liked."""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return plain_text(f"{finding.verdict.value}  {finding.probe}: {finding.says}{remedy}")


def print_finding(finding: Finding) -> None:
    """At once: the next one may take seconds."""
    print(in_words(finding), flush=True)
