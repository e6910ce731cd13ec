"""The plan's sections, as a plan file has them: what each key may be, alone and beside the others of its section.

What must go together across sections, and how a key comes later, is in plan.py.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

from fedfin import limits
from fedfin.codec.presets import LEVELS, Preset, UpPreset
from fedfin.names import Digest, Name

Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

# Features that keep their scale can be so many, times 36, in their mean square (second_moment_spec.py): it must travel.
MOST_OF_ONE_SCALE = 1024
# Of groups that are compared, three sites each, at "secure": in a round as large as the largest cohort.
MOST_GROUPS = limits.COHORT // limits.LEAST_SUMMED
# Patients that each site counts at most: whole numbers that travel exactly, and no number of patients that is public.
MOST_ANSWERS = 10_000
LEAST_COMPARED, MOST_COMPARED = 3, 64  # sites: all their updates are in memory at once
# In a round, where their number follows from the cases: a few cases more often are learnt by heart.
MOST_EPOCHS = 20
PATIENCE = 5  # of a plan that does not say
STEPS = 32  # likewise
MOST_PATIENCE = 30  # rounds: the best version must be among those that are kept (version_records.py)
FinVariant = Literal["zero", "mean", "uniform", "mlp", "decoder", "gaussian", "refined"]
Columns = Literal["own", "shared"]
Answer = Literal["both", "head", "experts"]
Gate = Literal["none", "explained"]
Scale = Literal["feature", "modality"]
Robust = Literal["none", "median", "trimmed_mean", "krum"]
Level = Literal["open", "secure", "private"]


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable; an unknown key is an error, and so is a number that is not finite."""

    def __post_init__(self) -> None:
        for key in self.__struct_fields__:
            value = getattr(self, key)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key} must be a finite number")


class Modality(Closed, frozen=True):
    """One modality: which encoder makes its features, how many are taken, and how large they can be.

    `scale`: whether each feature is divided by its own deviation, or all by that of the modality, as columns of a
    projection should be: those that hardly vary would be noise made large.

    `deviation`: what all are divided by in place of what sites pool; 0: they pool it.
    """

    name: Name
    encoder: Digest
    dim: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    scale: Scale = "feature"
    feature_limit: Annotated[float, msgspec.Meta(gt=0.0, le=limits.FEATURE_ABS)] = limits.FEATURE_ABS
    deviation: Annotated[float, msgspec.Meta(ge=0.0, le=limits.FEATURE_ABS)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale == "modality" and self.dim > MOST_OF_ONE_SCALE:
            raise ValueError(
                f'scale = "modality" is for {MOST_OF_ONE_SCALE} features at most; {self.name!r} has {self.dim}'
            )

    @property
    def most_variance(self) -> int:
        """Of a standardised feature: all of the modality's may be in one."""
        return self.dim if self.scale == "modality" else 1


class Model(Closed, frozen=True):
    """The model's shape. `head_width` 0 is a linear head.

    `columns`: whether the head reads imputed features through columns of their own, or through those of real ones.
    `gate`: what imputed features are multiplied by before the head sees them. `answer`: who gives it, the head, the
    closed-form experts, or both. `basis_total`: random features fill what closed forms read of all modalities up to
    this.
    """

    fin: FinVariant = "gaussian"
    fin_width: Annotated[int, msgspec.Meta(ge=8, le=4096)] = 256
    fin_layers: Annotated[int, msgspec.Meta(ge=1, le=24)] = 2
    fin_heads: Annotated[int, msgspec.Meta(ge=1, le=32)] = 4
    memory_tokens: Annotated[int, msgspec.Meta(ge=2, le=64)] = 4
    head_width: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 128
    columns: Columns = "own"
    gate: Gate = "none"
    answer: Answer = "both"
    basis_total: Annotated[int, msgspec.Meta(ge=0, le=16_384)] = 1180


class Training(Closed, frozen=True):
    """What a site does in one round. `epochs` 0: as many as make about `steps` steps, from one to MOST_EPOCHS."""

    epochs: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    steps: Positive | msgspec.UnsetType = msgspec.UNSET
    batch_size: Positive = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 2e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1e-2
    modality_dropout: Fraction = 0.5
    fin_loss_weight: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0

    def epochs_of(self, cases: int) -> int:
        """How often a site of so many training cases goes over them in a round."""
        in_one = max(1, -(-cases // self.batch_size))
        return self.epochs or min(MOST_EPOCHS, max(1, round((self.steps or STEPS) / in_one)))

    @property
    def most_epochs(self) -> int:
        """Of any site."""
        return self.epochs or min(MOST_EPOCHS, self.steps or STEPS)


class Rounds(Closed, frozen=True):
    """When a round closes, whom it asks, and what becomes of late updates (fedfin/protocol/rounds/attendance.py).

    `count`: rounds of training at most; `patience`: so many without improvement end it (0: never), and the best version
    is the final one (fedfin/protocol/convergence.py).

    `sites`: the target; `min_sites`: the quorum; `invite`: how many sites a training round asks (0: all);
    `buffer`: asynchronous, how many updates make a version (0: half the target). `cases_per_site`: more than these no
    site may claim; `max_share`: a site's greatest part in a sum of three or more sites. `robust`: how training's
    updates are combined, so that a few bad ones move the model little. `rollback`: a version whose loss on validation
    cases is by more than this part above the best one's is not taken.

    With a sixteenth key msgpack's map has another header, and every plan another digest: none may come here.
    """

    count: Positive = 40
    patience: Annotated[int, msgspec.Meta(ge=0, le=MOST_PATIENCE)] | msgspec.UnsetType = msgspec.UNSET
    mode: Literal["sync", "async"] = "sync"
    sites: Positive = 2
    min_sites: Positive = 1
    deadline_s: Annotated[float, msgspec.Meta(gt=0.0)] = 600.0
    invite: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    late: Literal["reject", "fold"] = "reject"
    staleness_exponent: Annotated[float, msgspec.Meta(ge=0.0, le=4.0)] = 0.5
    staleness_limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    buffer: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    cases_per_site: Annotated[int, msgspec.Meta(ge=1, le=limits.SITE_WEIGHT)] = 100_000
    max_share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    robust: Robust = "none"
    rollback: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        problems = {
            f"min_sites ({self.min_sites}) exceeds sites ({self.sites})": self.min_sites > self.sites,
            f"buffer ({self.buffer}) exceeds sites ({self.sites})": self.buffer > self.sites,
            f"invite ({self.invite}) is below sites ({self.sites}); 0 asks all": 0 < self.invite < self.sites,
            'invite needs mode = "sync"; in "async" every site works': self.invite > 0
            and self.mode == "async",
            'buffer needs mode = "async"': self.buffer > 0 and self.mode == "sync",
            f"staleness_exponent ({self.staleness_exponent}) has more than two decimals": (
                round(self.staleness_exponent, 2) != self.staleness_exponent
            ),
            'robust needs mode = "sync" and late = "reject": updates of one round are compared': (
                self.robust != "none" and (self.mode, self.late) != ("sync", "reject")
            ),
            f"robust is for 3 to {MOST_COMPARED} sites": (
                self.robust != "none" and not MOST_COMPARED >= self.sites >= LEAST_COMPARED
            ),
            'rollback needs mode = "sync" and patience above 0: versions are compared on validation cases': (
                bool(self.rollback) and (self.mode != "sync" or not self.stops_after)
            ),
            'rollback needs late = "reject": an update from a version that is not taken must not be folded': (
                bool(self.rollback) and self.late != "reject"
            ),
        }
        for problem, there in problems.items():
            if there:
                raise ValueError(problem)

    @property
    def stops_after(self) -> int:
        """So many rounds of training without improvement end it; 0: none do."""
        return PATIENCE if self.patience is msgspec.UNSET else self.patience

    @property
    def buffer_size(self) -> int:
        """How many updates make a version in the asynchronous mode."""
        return self.buffer or (self.sites + 1) // 2


class Privacy(Closed, frozen=True):
    """What the aggregator learns. `level`: each site's update, or sums over at least three sites alone.

    `epsilon`, `delta`: what all sums together promise to each patient, once noise is in them. `training_share`: what
    part of it training gets, if there is any; `patients`: how many train in all, a number that may be public.
    `groups`: sums of training are opened in so many at most, and the median of their means counts
    (fedfin/protocol/sum_groups.py). `least_sites_per_block`: of what fewer sites of a sum have, nothing is in it
    (fedfin/model/blocks.py). `least_answers`: of a label of which fewer patients of all sites have one of the two
    answers, nothing is in label moments and evaluation, and calibration is of all labels in one
    (fedfin/model/answer_counts.py).
    """

    level: Level = "open"
    epsilon: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] = 3.0
    delta: Annotated[float, msgspec.Meta(gt=0.0, le=1e-3)] = 1e-6
    training_share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] | msgspec.UnsetType = msgspec.UNSET
    patients: Annotated[int, msgspec.Meta(ge=1, le=limits.SITE_WEIGHT)] | msgspec.UnsetType = msgspec.UNSET
    groups: Annotated[int, msgspec.Meta(ge=limits.LEAST_GROUPS, le=MOST_GROUPS)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    least_sites_per_block: (
        Annotated[int, msgspec.Meta(ge=limits.LEAST_SUMMED, le=limits.COHORT)] | msgspec.UnsetType
    ) = msgspec.UNSET
    least_answers: Annotated[int, msgspec.Meta(ge=0, le=MOST_ANSWERS)] | msgspec.UnsetType = msgspec.UNSET

    @property
    def summed(self) -> bool:
        """Whether the aggregator sees sums alone."""
        return self.level != "open"

    @property
    def noised(self) -> bool:
        """Whether there is noise in the sums."""
        return self.level == "private"


class Stage(Closed, frozen=True, rename={"from_round": "from"}):
    """Other presets from a training round on; the first one is 1."""

    from_round: Positive
    up: UpPreset
    down: Preset


class Codec(Closed, frozen=True):
    """How updates travel up and new versions down: presets of fedfin/codec/presets.py."""

    up: UpPreset = "exact"
    down: Preset = "exact"
    schedule: Annotated[tuple[Stage, ...], msgspec.Meta(max_length=64)] = ()

    def __post_init__(self) -> None:
        begins = [stage.from_round for stage in self.schedule]
        for one, other in pairwise(begins):
            if one >= other:
                raise ValueError(
                    f"codec.schedule: each `from` must exceed the one before; {other} follows {one}"
                )

    @property
    def ups(self) -> frozenset[UpPreset]:
        """All that training's updates travel up by, in one round or another."""
        return frozenset((self.up, *(stage.up for stage in self.schedule)))

    @property
    def quantized(self) -> bool:
        """Whether rounds of training sum whole steps."""
        return not self.ups.isdisjoint(LEVELS)

    def at(self, training_round: int) -> "Codec | Stage":
        """Where `up` and `down` of this training round (1-based) stand."""
        begun = [stage for stage in self.schedule if stage.from_round <= training_round]
        return begun[-1] if begun else self
