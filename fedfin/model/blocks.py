"""Blocks of a task's values: what some sites have, and others not. A plan can ask for so many sites behind each.

A block is a tensor, or in a tensor with labels what is told of one of them (of one pattern of shown modalities, too,
where it is by pattern). With its key for an attempt each site signs to which blocks it gives, a bit each: so every site
of the cohort, and the aggregator, judges alike what is in the sum, and need not believe the aggregator.

What too few sites give is withheld by all. Second moments come in halves of patients, complete cases and others apart:
where a part has too few sites behind it and the whole has enough, the parts become fewer. Were the part withheld
instead, the sum of the moments, which are of all of them, less that of the other parts would show it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import combinations_with_replacement, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.codec import Tensors
from fedfin.errors import ProtocolError
from fedfin.model.answer_counts import COUNT
from fedfin.model.model_spec import (
    CALIBRATION,
    CENTRES,
    MAGNITUDES,
    Task,
    pattern_row,
    quantized_shapes,
    task_specs,
)
from fedfin.model.second_moment_spec import OTHER_HALF, label_moment_name, second_moment_name
from fedfin.plan import Plan

Bits = NDArray[np.bool_]
Merge = Callable[[str], str]  # of which tensor a tensor of second moments becomes a part


class Block(NamedTuple):
    """Of a tensor all, or what is at `place` in it; `says`: what it is, in words; "": nothing that people miss."""

    tensor: str
    place: tuple[int, ...]
    says: str


class Blocks:
    """Of one task of a plan that asks for sites behind each, in an order that all parties know."""

    def __init__(self, plan: Plan, task: Task) -> None:
        self.least = plan.privacy.least_sites_per_block or 0
        self.all = tuple(_blocks(plan, task))
        self._merges: tuple[Merge, ...] = _MERGES if task == "second_moments" else _MERGES[:1]
        self._of_labels = _label_rows(plan) if task == "train" else frozenset()
        self._steps = tuple(sorted(quantized_shapes(plan))) if task == "train" else ()

    @property
    def byte_count(self) -> int:
        """How long what each site tells is."""
        return -(-len(self.all) // 8)

    def given(self, values: Tensors, weights: Mapping[str, int], labels: Bits) -> bytes:
        """To which a site gives with these values. labels: of which it knows enough, bool [labels]."""
        return np.packbits([self._gives(block, values, weights, labels) for block in self.all]).tobytes()

    def _gives(self, block: Block, values: Tensors, weights: Mapping[str, int], labels: Bits) -> bool:
        if not weights.get(block.tensor) or block.tensor not in values:
            return False
        if (
            block.tensor in self._of_labels and block.place
        ):  # without a case they change all the same: they decay
            return bool(labels[block.place[0]])
        return not block.place or bool(values[block.tensor][block.place].any())

    def judge(self, given: Mapping[str, bytes]) -> "Judgement":
        """What is in a sum over these sites, by what each gives. Raises ProtocolError where that is of other blocks."""
        bits = self._bits(given)
        whole = _counts(self.all, bits, self._merges[-1])
        for merge in self._merges:
            counts = _counts(self.all, bits, merge)
            if all(
                not 0 < count < self.least <= whole[_merged(at, self._merges[-1])]
                for at, count in counts.items()
            ):
                break
        few = {at for at in counts if whole[_merged(at, self._merges[-1])] < self.least}
        return Judgement(self, merge, frozenset(few), frozenset(at for at in few if counts[at]), self._steps)

    def hold(self, given: Mapping[str, bytes], judgement: "Judgement") -> bool:
        """Whether, once sites are lost, enough are left behind each block that is in the sum; or none at all."""
        counts = _counts(self.all, self._bits(given), judgement.merge)
        return not any(0 < count < self.least for at, count in counts.items() if at not in judgement.withheld)

    def _bits(self, given: Mapping[str, bytes]) -> Bits:
        """[sites, blocks]."""
        if odd := sorted(name for name, bits in given.items() if len(bits) != self.byte_count):
            raise ProtocolError(
                f"{odd[0]} does not say to which of the plan's {len(self.all)} blocks it gives"
            )
        packed = np.frombuffer(b"".join(given.values()), np.uint8).reshape(len(given), -1)
        return np.unpackbits(packed, axis=1, count=len(self.all)).astype(np.bool_)


class Judgement(NamedTuple):
    """Of one cohort: of what tensors parts become parts, and what is withheld: by tensor and place.

    `missed`: what of that any site would have given.
    """

    blocks: Blocks
    merge: Merge
    withheld: frozenset[tuple[str, tuple[int, ...]]]
    missed: frozenset[tuple[str, tuple[int, ...]]]
    steps: tuple[str, ...]

    def says(self) -> list[str]:
        """In words, what sites have and the sum has not; of labels only where the rest of the tensor is in it."""
        whole = {tensor for tensor, place in self.missed if not place}
        found = (
            block.says
            for block in self.blocks.all
            if block.says
            and _merged((block.tensor, block.place), self.merge) in self.missed
            and not (block.place and self.merge(block.tensor) in whole)
        )
        return list(dict.fromkeys(found))

    def apply(self, values: Tensors, weights: Mapping[str, int]) -> tuple[Tensors, dict[str, int]]:
        """What a site gives of its values: float32, and the cases behind each."""
        kept, cases = _together(values, weights, self.merge)
        for tensor, place in self.withheld:
            if tensor not in kept:
                continue
            if place:
                kept[tensor] = kept[tensor].copy()
                kept[tensor][place] = 0
            else:
                del kept[tensor], cases[tensor]
        if MAGNITUDES in kept:  # has a column for each tensor that learns
            lost = [name not in kept for name in self.steps]
            kept[MAGNITUDES] = np.where(lost, np.float32(0), kept[MAGNITUDES])
        return kept, cases


def blocks_of(plan: Plan, task: Task) -> Blocks | None:
    """None: the plan asks for no sites behind each."""
    return Blocks(plan, task) if plan.privacy.least_sites_per_block else None


def _merged(at: tuple[str, tuple[int, ...]], merge: Merge) -> tuple[str, tuple[int, ...]]:
    return merge(at[0]), at[1]


def _counts(blocks: Iterable[Block], bits: Bits, merge: Merge) -> dict[tuple[str, tuple[int, ...]], int]:
    """How many sites are behind each, once parts are merged. bits: [sites, blocks]."""
    found: dict[tuple[str, tuple[int, ...]], Bits] = {}
    for block, gives in zip(blocks, bits.T, strict=True):
        at = _merged((block.tensor, block.place), merge)
        found[at] = found[at] | gives if at in found else gives
    return {at: int(np.count_nonzero(gives)) for at, gives in found.items()}


def _together(
    values: Tensors, weights: Mapping[str, int], merge: Merge
) -> tuple[dict[str, NDArray[np.float32]], dict[str, int]]:
    """Means over the cases of all parts that become one."""
    parts: dict[str, list[str]] = {}
    for name in sorted(values):
        parts.setdefault(merge(name), []).append(name)
    cases = {name: sum(weights[part] for part in of) for name, of in parts.items()}
    means = {name: _mean(of, values, weights) for name, of in parts.items()}
    return means, cases


def _mean(parts: list[str], values: Tensors, weights: Mapping[str, int]) -> NDArray[np.float32]:
    if len(parts) == 1:
        return values[parts[0]]
    rows = np.stack([values[part].astype(np.float64) for part in parts])
    mean: NDArray[np.float64] = np.average(rows, axis=0, weights=[weights[part] for part in parts])
    return mean.astype(np.float32)


def _in_one_population(name: str, *, halves: bool) -> str:
    """As if no case were complete; in halves of the patients, or not."""
    half = OTHER_HALF if halves and name.startswith(OTHER_HALF) else ""
    kind, _, of = name.removeprefix(OTHER_HALF).split(".", 2)
    return f"{half}{kind}.partial.{of}"


# Halves matter more than what incomplete cases blur (docs/method.md).
_MERGES: tuple[Merge, ...] = (
    lambda name: name,
    partial(_in_one_population, halves=True),
    partial(_in_one_population, halves=False),
)


def _blocks(plan: Plan, task: Task) -> Iterable[Block]:
    shapes = task_specs(plan, task)
    if task == "calibrate":
        for name in shapes:
            yield Block(name, (), "calibration")
        for shown in product((False, True), repeat=len(plan.dims)):
            yield from _of_pattern(plan, shown, in_one=CENTRES in shapes)
        return
    says, labelled = _says(plan, task), _labelled(plan, task)
    for name in sorted(shapes):
        yield Block(name, (), says.get(name, name))
        if name.startswith(COUNT):
            yield from (Block(name, place, "") for place in np.ndindex(shapes[name][:-1]))
        if name in labelled:
            for place, label in enumerate(plan.labels):
                yield Block(name, (place,), f"{label} of {says.get(name, name)}")


def _of_pattern(plan: Plan, shown: tuple[bool, ...], *, in_one: bool) -> Iterable[Block]:
    """Of a calibration. in_one: all labels are."""
    names = " + ".join(name for name, is_shown in zip(plan.dims, shown, strict=True) if is_shown)
    row = pattern_row(shown)
    if in_one:
        yield Block(CALIBRATION, (row,), f"calibration of {names}")
    else:
        for place, label in enumerate(plan.labels):
            yield Block(CALIBRATION, (row, place), f"{label} of {names}")


def _says(plan: Plan, task: Task) -> dict[str, str]:
    """What a tensor is of, in words, where its name does not say it as well."""
    if task == "moments":
        return {f"norm.{m}.{part}": m for m in plan.dims for part in ("mean", "square")}
    if task != "second_moments":
        return {}
    found = {}
    for half, population in product(("", OTHER_HALF), ("complete", "partial")):
        for one, other in combinations_with_replacement(plan.dims, 2):
            pair = one if one == other else f"{one} with {other}"
            found[half + second_moment_name(population, one, other)] = pair  # type: ignore[arg-type]
        for modality in plan.dims:
            found[half + label_moment_name(population, modality)] = modality  # type: ignore[arg-type]
    return found


def _labelled(plan: Plan, task: Task) -> frozenset[str]:
    """The tensors whose first axis is the labels."""
    names = task_specs(plan, task)
    if task == "evaluate":
        return frozenset(names)
    if task == "second_moments":
        return frozenset(name for name in names if name.removeprefix(OTHER_HALF).startswith("labels."))
    return _label_rows(plan) if task == "train" else frozenset()


def _label_rows(plan: Plan) -> frozenset[str]:
    """Of the head's tensors those that have a row for each label."""
    prefix = "head.output." if plan.model.head_width else "head."
    return frozenset(name for name in task_specs(plan, "train") if name.startswith(prefix))


def most_telling(plan: Plan) -> int:
    """How many sites a cohort has at most, so that what each says of its blocks fits a message."""
    tasks: list[Task] = ["moments", "second_moments", "train", "evaluate"]
    tasks += ["calibrate"] if plan.model.answer == "both" else []
    return limits.BLOCK_BYTES // max(Blocks(plan, task).byte_count for task in tasks)
