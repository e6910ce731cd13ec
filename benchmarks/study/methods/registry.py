"""Every method of the study by name: a literal table, to which a new method is one line.

A method is a frozen dataclass (benchmarks/study/method.py): its fields are its settings, and a change of one of them
makes it another method to a study that goes on. Heavy imports belong inside `train`.
"""

from benchmarks.study.method import Method
from benchmarks.study.methods.arrangement import Centralised, CompleteSitesOnly, LocalOnly, WithPublic
from benchmarks.study.methods.drafted import Drafted
from benchmarks.study.methods.generative import Generative
from benchmarks.study.methods.indicator_logistic import IndicatorLogistic
from benchmarks.study.methods.knn_fill import KnnFill
from benchmarks.study.methods.late_fusion import LateFusion
from benchmarks.study.methods.p_fin import ProbabilisticFin
from benchmarks.study.methods.pattern_ridge import PatternRidge
from benchmarks.study.methods.plan_method import PlanMethod
from benchmarks.study.methods.prototypes import Prototypes
from benchmarks.study.methods.retrieval import Retrieval
from benchmarks.study.methods.single import SingleModality

_NO_EXPERTS = {"answer": "head"}
_SHARED = {"columns": "shared", **_NO_EXPERTS}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        PlanMethod("fedfin"),  # the default plan
        WithPublic("fedfin-public", method=PlanMethod("fedfin")),
        Drafted("fedfin-drafted", PlanMethod("fedfin"), "principal", "modality", 0, 1.0, level="secure"),
        # parts of it
        PlanMethod("experts-only", model={"answer": "experts", "fin": "zero"}),
        PlanMethod("fin-gaussian", model={"fin": "gaussian", **_NO_EXPERTS}),
        PlanMethod("fin-refined", model={"fin": "refined", **_NO_EXPERTS}),
        PlanMethod("fin-mlp", model={"fin": "mlp", **_NO_EXPERTS}),
        PlanMethod("fin-decoder", model={"fin": "decoder", **_NO_EXPERTS}),
        # rivals
        PlanMethod("zero-fill", model={"fin": "zero", **_NO_EXPERTS}),
        PlanMethod("mean-fill", model={"fin": "mean", **_SHARED}),
        PlanMethod("uniform-fill", model={"fin": "uniform", **_SHARED}),
        PlanMethod("plain-fin", model={"fin": "mlp", **_SHARED}),
        PlanMethod(
            "paper-fin", model={"fin": "decoder", "fin_layers": 6, "fin_heads": 4, **_SHARED}
        ),  # as arXiv 2505.20232 has it
        SingleModality("only-common", place=0),
        SingleModality("only-rare", place=-1),
        CompleteSitesOnly(),
        LocalOnly(),
        Prototypes(),
        Retrieval(),
        ProbabilisticFin(),
        Generative(),
        # simple ones, each at its best penalty
        LateFusion("late-logits", adds="logits"),
        LateFusion("late-ranks", adds="ranks"),
        PatternRidge(),
        IndicatorLogistic(),
        KnnFill(),
        # bounds
        Centralised("centralised-as-held", recorded=False, method=PlanMethod("fedfin")),
        Centralised("centralised", recorded=True, method=PlanMethod("fedfin")),
    )
}
