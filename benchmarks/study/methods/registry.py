"""Every method of the study by name: a literal table, to which a new method is one line.

A method is a frozen dataclass (benchmarks/study/method.py): its fields are its settings, and a change of one of them
makes it another method to a study that goes on. Heavy imports belong inside `train`.
"""

from benchmarks.study.method import Method
from benchmarks.study.methods.plan_method import PlanMethod

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        PlanMethod("zero-fill", model={"fin": "zero"}),
        PlanMethod("fin-mlp", model={"fin": "mlp"}),
        PlanMethod("fin-decoder", model={"fin": "decoder"}),
    )
}
