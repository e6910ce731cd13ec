"""Membership from the trained model: whether its loss of this record is lower, also than a model's that never saw it.

Yeom et al., CSF 2018 (loss threshold); Carlini et al., S&P 2022 (likelihood ratio; here with one reference model). The
head is asked by itself, too: whoever has the model has its parts.
"""

from benchmarks.leakage.losses import of_answer, of_head
from benchmarks.leakage.people import Floats, People
from fedfin.codec import Tensors
from fedfin.plan import Plan


def knowledge(plan: Plan, model: Tensors, people: People) -> list[Floats]:
    """How low the losses of answer and head are, [n] each."""
    return [-of_answer(plan, model, people), -of_head(plan, model, people)]


def likelihood_ratios(plan: Plan, model: Tensors, reference: Tensors, people: People) -> list[Floats]:
    """By how much they are lower than with the reference model, [n] each."""
    pairs = zip(knowledge(plan, model, people), knowledge(plan, reference, people), strict=True)
    return [own - usual for own, usual in pairs]
