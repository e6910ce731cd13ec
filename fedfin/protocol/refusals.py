"""Reasons of receipts from which a site learns more than that its update does not count."""

TWICE = "this round already has an update of yours"
_LATE = "late: "


def late(round_: int) -> str:
    """The round was over before the update came."""
    return f"{_LATE}round {round_} has closed"


def is_late(reason: str) -> bool:
    """Whether a receipt, or the word of a sum, tells that its round has closed."""
    return reason.startswith(_LATE)
