"""How many bytes of masked words a site gives a secure sum: as many, whatever it has."""

from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round, levels_up, task_of
from fedfin.secure_sums.masks import WORD
from fedfin.secure_sums.summand import Summand

ATTEMPT_BYTES = 16  # the attempt's id, before the words


def most_masked_bytes(plan: Plan) -> int:
    """In the round of the plan that takes the most, before they are sealed."""
    forms = {(task_of(plan, round_), levels_up(plan, round_)) for round_ in range(1, last_round(plan) + 1)}
    return ATTEMPT_BYTES + WORD.itemsize * max(Summand(plan, *form).word_count for form in forms)
