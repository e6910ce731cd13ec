"""One run of a study each: a data set, a setting, a method, a seed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any

import msgspec

from benchmarks.study.deal import Recipe
from benchmarks.study.method import Method
from benchmarks.study.methods.plan_method import PlanMethod
from benchmarks.study.methods.projected import Projected
from benchmarks.study.settings import DATA, EVERY, SETTINGS, Ablation, Data, Reduction, Runs, Setting, Study
from benchmarks.study.tuning import EPOCHS, LEARNING_RATES, WEIGHT_DECAYS
from fedfin.errors import SettingsError
from fedfin.plan import Plan
from fedfin.plan_sections import Modality


@dataclass(frozen=True)
class Job:
    """Names are what tables show; what they stand for is in the key, as a digest.

    best: by the recipe that is best for the method, chosen on training cases (tuning.py), in place of the study's;
    tuned_in: of another setting, if any.
    """

    data_name: str
    data: Data
    setting_name: str
    setting: Setting
    method: Method
    seed: int
    recipe: Recipe
    best: bool = False
    tuned_in: Setting | None = None

    @property
    def key(self) -> str:
        """What tells this run from all others, those of the same names with other contents among them."""
        names = (self.data_name, self.setting_name, self.method.name, str(self.seed))
        return "/".join((*names, self._digest()))

    def _digest(self) -> str:
        contents: tuple[Any, ...] = (self.data, self.setting, asdict(self.recipe), _settings_of(self.method))
        if self.best:
            contents = (*contents, "best", LEARNING_RATES, EPOCHS, WEIGHT_DECAYS)
        if self.best and self.tuned_in:
            contents = (*contents, self.tuned_in)
        encoded = msgspec.json.encode(contents, order="sorted")
        return hashlib.sha256(encoded).hexdigest()[:12]


def jobs(
    studies: Sequence[Study],
    methods: Mapping[str, Method],
    *,
    seeds: int | None = None,
    only: Sequence[str] = (),
    best: bool = False,
) -> list[Job]:
    """Every combination once, one seed after the other, so that a study cut short is a small study.

    Of a study that is `in_order` one run after the other, before the others. `best`: with each method's best recipe,
    not the study's. `seeds`, if given, counts for all studies; `only`: of the methods, those of these names.
    Raises SettingsError for a method that is not there and for an ablation that no plan allows.
    """
    first = [job for study in studies if study.in_order for job in _jobs(study, methods, seeds)]
    others = [job for study in studies if not study.in_order for job in _jobs(study, methods, seeds)]
    found: dict[str, Job] = {}
    for job in (*first, *sorted(others, key=lambda job: job.seed)):
        if not only or job.method.name in only:
            wanted = replace(job, best=job.best or best)
            found.setdefault(wanted.key, wanted)
    return list(found.values())


def _jobs(study: Study, methods: Mapping[str, Method], seeds: int | None) -> list[Job]:
    data, settings = DATA | study.data, SETTINGS | study.settings
    recipes = [_recipe(study, runs) for runs in study.runs]
    return [
        Job(name, data[name], setting, settings[setting], method, seed, recipe, best, tuned_in)
        for number, (runs, recipe) in enumerate(zip(study.runs, recipes, strict=True))
        for name in runs.data
        for setting in runs.settings
        for tuned_in in (settings[runs.tuned_in] if runs.tuned_in not in ("", setting) else None,)
        for best in ((True, False) if runs.best else (False,))
        for seed in range(seeds or runs.seeds or study.seeds)
        for method in _methods(f"runs[{number}]", runs, methods, recipe)
    ]


def _recipe(study: Study, runs: Runs) -> Recipe:
    epochs = runs.epochs or study.training.epochs
    return Recipe(study.rounds, study.model, msgspec.structs.replace(study.training, epochs=epochs))


def _methods(where: str, runs: Runs, known: Mapping[str, Method], recipe: Recipe) -> list[Method]:
    names = list(known) if EVERY in runs.methods else list(runs.methods)
    wanted = [*names, *(each.method for each in runs.ablations), *(each.method for each in runs.reductions)]
    if unknown := [name for name in wanted if name not in known]:
        raise SettingsError(f"study: key {where}.methods: {unknown[0]!r} is not one of {', '.join(known)}")
    return [
        *(known[name] for name in names),
        *(_ablated(where, known[a.method], a, value, recipe) for a in runs.ablations for value in a.values),
        *(
            one
            for reduction in runs.reductions
            for one in _reduced(where, known[reduction.method], reduction)
        ),
    ]


def _reduced(where: str, method: Method, reduction: Reduction) -> list[Method]:
    """The method in each number of dimensions. Raises SettingsError for one without a plan."""
    if not isinstance(method, PlanMethod):
        raise SettingsError(f"study: key {where}.reductions: {method.name!r} has no plan; remove it there")
    axes, scale, bundles = reduction.axes, reduction.scale, tuple(sorted(reduction.bundles.items()))
    level, floor = reduction.level, reduction.least_patients
    secure = "" if level == "open" else "/secure" if floor else "/secure, no floors"
    kind = f"{method.name}{secure}/{axes}{'-of-bundle' if bundles else ''}/{scale}"
    return [
        Projected(
            f"{kind}/{dims or 'all'}/{basis:g}", method, axes, scale, dims, basis, bundles, level, floor
        )
        for dims in reduction.dims
        for basis in reduction.basis
    ]


def _ablated(where: str, method: Method, ablation: Ablation, value: Any, recipe: Recipe) -> Method:
    """The method with the value, after a try of whether any plan allows it."""
    if not isinstance(method, PlanMethod):
        raise SettingsError(
            f"study: key {where}.ablations: {method.name!r} has no plan to change; remove it there"
        )
    changed = method.changed(ablation.section, ablation.key, value)
    modalities = tuple(Modality(name=name, encoder="0" * 64, dim=8) for name in "ab")
    base = Plan(federation="study", labels=("x",), modalities=modalities)
    try:
        changed.plan(msgspec.structs.replace(base, model=recipe.model, training=recipe.training))
    except (TypeError, ValueError) as error:  # an unknown key, or a value out of bounds
        raise SettingsError(
            f"study: key {where}.ablations: {ablation.section}.{ablation.key} = {value!r}: {error}"
        ) from None
    return changed


def _settings_of(method: Method) -> Any:
    """What makes it the method that it is: its class and, of a dataclass, the fields."""
    fields = asdict(method) if is_dataclass(method) else {"name": method.name}
    return [type(method).__qualname__, fields]
