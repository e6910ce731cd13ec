"""docs/method.md: every number of its worked example is what the code of sites and aggregator computes."""

import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from closed_form_cases import answers, make_plan, second_moments

from fedfin import limits
from fedfin.fusion.model import load_model
from fedfin.model.initial_model import initial_model
from fedfin.model.second_moment_spec import second_moment_shapes
from fedfin_aggregator.closed_form.cross_validation import folds
from fedfin_aggregator.closed_form.groups import by_group, grouped
from fedfin_aggregator.closed_form.head_calibration import calibrate
from fedfin_aggregator.closed_form.scores import Fits
from fedfin_aggregator.closed_form.solve import solve
from fedfin_aggregator.fold.fold import Fold
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.moments import pool_moments

PAGE = (Path(__file__).parents[1] / "docs/method.md").read_text(encoding="utf-8")
PLAN = make_plan({"image": 2, "text": 1}, labels=1)
SITES = ("north", "south")  # in two groups of sites: names decide
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def cells(name: str) -> list[list[str]]:
    """The numbers, as they are printed, of each cell of the page's row that begins with `name`."""
    (line,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", PAGE, re.MULTILINE)
    return [NUMBER.findall(cell) for cell in line.split("|")]


def check(name: str, *values: Sequence[float]) -> None:
    """The row's cells hold these, as exactly as they are printed."""
    shown = cells(name)
    rounded = [
        [f"{value + 0.0:.{len(text.partition('.')[2])}f}" for text, value in zip(cell, of_cell, strict=True)]
        for cell, of_cell in zip(shown, values, strict=True)
    ]
    assert [[float(text) for text in cell] for cell in shown] == [
        [float(t) for t in cell] for cell in rounded
    ]


def case(image: Sequence[Sequence[float]], text: Sequence[float], labels: Sequence[float]) -> Dataset:
    """Cases of one site; without text where there is none."""
    count = len(labels)
    features = {"image": np.array(image), "text": np.array(text or [0.0] * count)[:, None]}
    present = {"image": np.ones(count, np.bool_), "text": np.full(count, bool(text))}
    floats = {modality: values.astype(np.float32) for modality, values in features.items()}
    return Dataset(floats, present, np.array(labels, np.float32)[:, None], np.zeros(count, np.bool_))


@cache
def sites() -> dict[str, Dataset]:
    """The two, from the page's table of cases."""
    names = ("image, feature 1", "image, feature 2", "text", "effusion")
    rows = [[[float(number) for number in cell] for cell in cells(name)[:2]] for name in names]
    return {
        name: case(list(zip(first, second, strict=True)), text, labels)
        for name, first, second, text, labels in zip(SITES, *rows, strict=True)
    }


@cache
def standardised() -> dict[str, np.ndarray]:
    """The model after the first exchange."""
    fold = Fold()
    for dataset in sites().values():
        fold.add(*pool_moments(dataset))
    unit = 2.0**-limits.FRACTION_BITS
    pooled = {name: (sum_.total * unit / sum_.weight).astype(np.float32) for name, sum_ in fold.sums.items()}
    return initial_model(PLAN) | pooled


@cache
def groups():
    """The sums of the second exchange."""
    fold = Fold()
    for name, dataset in sites().items():
        values, weights = second_moments(PLAN, dataset, name, standardised())
        fold.add(grouped(values, name), grouped(weights, name))
    return by_group(fold.sums)


@cache
def solved() -> dict[str, np.ndarray]:
    """What the aggregator makes of them."""
    return solve(PLAN, groups())


def test_first_exchange() -> None:
    """Means and mean squares, of either site and pooled."""
    sent = [pool_moments(dataset)[0] for dataset in sites().values()]
    for modality in PLAN.dims:
        for part, name in (("mean", "mean"), ("square", "mean square")):
            tensor = f"norm.{modality}.{part}"
            of_sites = [values.get(tensor, np.zeros(0)) for values in sent]
            check(f"{modality}, {name}", *of_sites, standardised()[tensor])


def test_second_exchange() -> None:
    """What north sends is of partial cases, what south sends of complete ones."""
    north, south = (second_moments(PLAN, d, name, standardised())[0] for name, d in sites().items())
    nothing = np.zeros(0)
    for one, other in (("image", "image"), ("image", "text"), ("text", "text")):
        name = f"{one}.{other}"
        of_north = north.get(f"second.partial.{name}", nothing)
        check(f"{one} with {other}", of_north.ravel(), south[f"second.complete.{name}"].ravel())
    for modality in PLAN.dims:
        of_north = north.get(f"labels.partial.{modality}", np.zeros((1, 2, 0)))
        of_south = south[f"labels.complete.{modality}"]
        for place, name in enumerate(("known", "positive")):
            check(f"effusion with {modality}: {name}", of_north[0, place], of_south[0, place])


def test_what_is_solved() -> None:
    """Penalties, weights, gains, shares explained and the blend."""
    fits = Fits(PLAN, folds(PLAN, groups()))
    forth, back = (fits.imputations[pair].ridge for pair in (("text", "image"), ("image", "text")))
    check("text from image: penalty", [forth.penalty])
    check("text from image: weights", forth.weights.ravel())
    check("text from image: gain", forth.gain)
    check("text from image: share explained", forth.explained)
    check("image from text: gain", back.gain)
    check("image from text: share explained", back.explained)
    for modality, weights in (("image", "weights"), ("text", "weight")):
        expert = fits.experts[modality].ridge
        check(f"{modality}'s expert: penalty", [expert.penalty])
        check(f"{modality}'s expert: {weights}", expert.weights.ravel())
    check("text's expert, read from the image: weights", fits.score(("text", "image")).ravel())
    for i, source in enumerate(PLAN.dims):
        for j, target in enumerate(PLAN.dims):
            of_patterns = solved()["blend.weight"][1:, i, j]
            check(f"the {target}'s expert, read from the {source}", *of_patterns)
    check("power", *solved()["blend.power"][1:])


@pytest.mark.parametrize(
    ("name", "shown"), [("the image", ["image"]), ("the text", ["text"]), ("both", ["image", "text"])]
)
def test_the_new_case(name: str, shown: list[str]) -> None:
    """By the model that sites and `predict` read."""
    tensors = {name: values.astype(np.float32) for name, values in solved().items()}
    new = case([(5, 55)], [14], [1])
    (logits, mean, spread) = answers(load_model(PLAN, standardised() | tensors), new, shown)
    imputed = [mean["text"][0], 1 - spread["text"][0]] if shown == ["image"] else [[], []]
    check(name, *imputed, logits[0], [1 / (1 + math.exp(-logits[0, 0]))])


HEAD_SHARES = re.findall(r"^\| (\d+) and \1 \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("count", "head", "experts", "share"), HEAD_SHARES)
def test_the_share_of_the_head(count: str, head: str, experts: str, share: str) -> None:
    """As many positives as negatives, both of variance 1."""
    cases, half = int(count), float(head) / 2
    squares = cases - 1.0
    of_class = [[cases, cases * m, squares + cases * m**2, 0.0, squares] for m in (-half, half)]
    means = np.array(of_class)[None, None] / (2 * cases)
    found = calibrate(means, 2 * cases, np.array([[float(experts) ** 2]]), np.zeros(1))
    assert f"{found['calibration.head_weight'][0]:.2f}" == share


def test_how_many_values_one_part_has() -> None:
    """Of two modalities of 64 columns."""
    shapes = second_moment_shapes(make_plan({"image": 64, "text": 64}, labels=1))
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    second = sum(size for name, size in sizes.items() if name.startswith("second.complete"))
    labels = sum(size for name, size in sizes.items() if name.startswith("labels.complete"))
    assert f"has {second:,} values, and {labels} more for each label" in PAGE
