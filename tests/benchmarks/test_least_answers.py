"""What counting answers over all sites costs and gives back: a model differs in what its labels say alone."""

import numpy as np
from msgspec.structs import replace
from study_cases import dealt, pool

from benchmarks.least_answers import WITH, WITHOUT
from benchmarks.study.rounds import Rounds
from fedfin.codec import Tensors
from fedfin.limits import LEAST_MERGED
from fedfin.model.answer_counts import enough_shapes
from fedfin.plan_sections import Privacy
from fedfin.plan_sections import Rounds as RoundKeys


def test_the_plan_differs_by_the_key_alone() -> None:
    """What one costs is then the key's."""
    base = dealt(pool(900), ratio="2:0:2", public=0.2).plan
    without, with_key = (method.plan(base, {"image": 2}) for method in (WITHOUT, WITH))
    assert replace(with_key, privacy=without.privacy) == without
    assert with_key.privacy == replace(without.privacy, least_answers=10)


def test_what_is_counted_changes_a_model_in_experts_and_calibration_alone() -> None:
    """And there where too few have an answer: no experts, if three patients are enough; everywhere, if nobody is."""
    federation = dealt(pool(1800), ratio="0:0:4", public=0.2)
    models = []
    for least in (0, LEAST_MERGED, 10_000):
        plan = replace(
            federation.plan,
            privacy=Privacy(level="secure", least_answers=least),
            rounds=RoundKeys(count=2, sites=4, min_sites=3),
        )
        rounds = Rounds(plan, federation.sites)
        for number in rounds.numbers:
            rounds.run(number)
        models.append(rounds.model)
    without, few, everybody = models
    assert not few.keys() - without.keys() - enough_shapes(plan).keys()
    assert _changed(without, everybody) == {"expert", "blend", "calibration"}
    assert (few["enough.calibrate"][1:] > 0).all()
    assert _changed(without, few) == {"calibration"}, "of all labels in one"
    assert not (everybody["enough.calibrate"] > 0).any()


def _changed(one: Tensors, other: Tensors) -> set[str]:
    """The parts of the model that differ."""
    return {name.partition(".")[0] for name in one if not np.array_equal(one[name], other[name])}
