"""Promises of the study's rivals: each trains on what it may see, and answers what it can."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from benchmarks.study.federation import Federation, Texts
from benchmarks.study.method import NotApplicableError, SeparateModels
from benchmarks.study.methods.arrangement import Centralised, CompleteSitesOnly, LocalOnly, WithPublic
from benchmarks.study.methods.filled import fill
from benchmarks.study.methods.generative import Generative
from benchmarks.study.methods.p_fin import ProbabilisticFin
from benchmarks.study.methods.plan_method import PlanMethod
from benchmarks.study.methods.prototypes import Prototypes
from benchmarks.study.methods.retrieval import Retrieval, agreeing
from benchmarks.study.methods.single import SingleModality
from fedfin.model.metrics import macro_auc
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds, Training
from fedfin_edge.cases.dataset import Dataset

DIMS = {"image": 8, "text": 6}
WORDS = {0: "clear lungs and no effusion .", 1: "large right effusion is seen ."}
PLAN = Plan(
    federation="study",
    labels=("a", "b"),
    modalities=tuple(Modality(name=m, encoder="0" * 64, dim=dim) for m, dim in DIMS.items()),
    model=Model(head_width=16, fin_width=16),
    training=Training(batch_size=16, learning_rate=0.02),
    rounds=Rounds(count=8, sites=3),
)


def cases(count, seed, held=("image", "text")):
    """Both modalities tell of both labels, and so of each other."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, (count, 2)).astype(np.float32)
    features = {
        m: (labels @ np.eye(2, dim) * 3 + generator.standard_normal((count, dim))).astype(np.float32)
        for m, dim in DIMS.items()
    }
    present = {m: np.full(count, m in held) for m in DIMS}
    features = {m: values * present[m][:, None] for m, values in features.items()}
    return Dataset(features, present, labels, np.zeros(count, np.bool_))


@pytest.fixture(scope="module")
def federation():
    """An image-only site, a text-only one, one with both."""
    sites = {"i": cases(60, 1, ("image",)), "t": cases(60, 2, ("text",)), "b": cases(60, 3)}
    texts = {name: [WORDS[int(a)] for a in d.labels[:, 0]] for name, d in sites.items()}

    def encode(text):
        return np.eye(1, DIMS["text"], dtype=np.float32)[0] * (3.0 if "large" in text else 0.0)

    return Federation(PLAN, sites, sites, cases(30, 4), cases(200, 5), (Texts("text", texts, encode),))


def answers(method, federation, shown=("image", "text")):
    """Its macro AUC on the judge's cases, of which it sees what is shown."""
    trained = method.train(federation, lambda _share: None)
    judge = federation.judge
    present = {m: np.full(len(judge), m in shown) for m in DIMS}
    return macro_auc(trained.answer(judge.features, present), judge.labels)


RIVALS = [
    Prototypes(),
    Retrieval(nearest=3),
    ProbabilisticFin(width=16),
    Generative(words=20, length=8, width=16),
]


@pytest.mark.parametrize("method", RIVALS, ids=lambda method: method.name)
def test_rivals_that_fill_in_learn(method, federation):
    """On easy cases each is far above chance, complete or not, and estimates what it is not shown."""
    assert answers(method, federation) > 0.9
    assert answers(method, federation, ("image",)) > 0.8
    judge = federation.judge
    present = {"image": np.ones(len(judge), np.bool_), "text": np.zeros(len(judge), np.bool_)}
    imputed = method.train(federation, lambda _share: None).impute(judge.features, present)
    assert imputed["text"].mean.shape == judge.features["text"].shape


def test_retrieved_labels_are_alike_by_jaccard_s_index():
    """One finding in common beats none in common, though both differ in two labels; unknown labels say nothing."""
    public = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 1, 1]], np.float32)
    chosen = np.array([[1, 2, 0]])
    for own, best in (([1, 0, 0, 0], 0), ([0, 0, 0, 0], 1), ([np.nan, np.nan, 1, 1], 2), ([np.nan] * 4, 1)):
        assert agreeing(chosen, np.array([own], np.float32), public)[0] == best


def test_a_single_modality_answers_only_with_it(federation):
    """Cases without it get no answer, and what else they have changes nothing."""
    method, judge = SingleModality("only-common", 0), federation.judge
    trained = method.train(federation, lambda _share: None)
    none, every = np.zeros(len(judge), np.bool_), np.ones(len(judge), np.bool_)
    assert np.isnan(trained.answer(judge.features, {"image": none, "text": every})).all()
    alone = trained.answer(judge.features, {"image": every, "text": none})
    assert np.array_equal(alone, trained.answer(judge.features, {"image": every, "text": every}))


@pytest.mark.parametrize("place", [0, -1])
def test_a_single_modality_trains_until_it_stops_improving(federation, place):
    """As every method does: its sites' validation cases stay apart, and the rounds end before their count."""
    sites = {name: replace(d, validation=np.arange(len(d)) < 20) for name, d in federation.sites.items()}
    plan = msgspec.structs.replace(federation.plan, rounds=Rounds(count=40, sites=3))
    done = []
    SingleModality("only", place).train(replace(federation, plan=plan, sites=sites), done.append)
    assert 1 < len(done) < 40


def test_sites_without_complete_cases_do_not_take_part(federation):
    """Where there is no complete case, the method does not apply."""
    changed = replace(federation, sites=federation.sites | {"i": cases(60, 9, ("image",))})
    one, other = (
        CompleteSitesOnly().train(f, lambda _share: None).answer(f.judge.features, f.judge.present)
        for f in (federation, changed)
    )
    assert np.array_equal(one, other)
    with pytest.raises(NotApplicableError, match="complete"):
        CompleteSitesOnly().train(
            replace(federation, sites={"i": federation.sites["i"]}), lambda _share: None
        )


def test_public_cases_train_as_one_more_site(federation):
    """As if a site had them; where there are none the method does not apply."""
    ours = PlanMethod("ours", model={"answer": "experts", "fin": "zero"})
    joined = replace(federation, sites=federation.sites | {"public": federation.public})
    judge = federation.judge
    one, other, without = (
        method.train(dealt, lambda _share: None).answer(judge.features, judge.present)
        for method, dealt in ((WithPublic("with", ours), federation), (ours, joined), (ours, federation))
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, without)
    none = Dataset(*({m: v[:0] for m, v in part.items()} for part in (judge.features, judge.present)),
                   judge.labels[:0], judge.held_out[:0])  # fmt: skip
    with pytest.raises(NotApplicableError, match="public"):
        WithPublic("with", ours).train(replace(federation, public=none), lambda _share: None)


def test_local_only_is_judged_site_by_site(federation):
    """A model for each site."""
    trained = LocalOnly().train(federation, lambda _share: None)
    assert isinstance(trained, SeparateModels)
    assert len(trained.parts) == 3


def test_what_is_there_is_never_filled():
    """Estimates go only where a modality is missing; afterwards all of it is there."""
    dataset = cases(5, 0, ("image",))
    filled = fill(dataset, {m: np.full_like(values, 7) for m, values in dataset.features.items()})
    assert np.array_equal(filled.features["image"], dataset.features["image"])
    assert (filled.features["text"] == 7).all()
    assert filled.present["text"].all()


def test_writing_texts_does_not_apply_without_texts(federation):
    """The study then says so."""
    with pytest.raises(NotApplicableError, match="text"):
        Generative().train(replace(federation, texts=()), lambda _share: None)


def test_closed_forms_in_one_place_are_those_of_the_sites(federation):
    """Penalties are cross-validated over hospitals there too; the head alone trains on one heap."""
    closed = PlanMethod("closed", model={"answer": "experts", "fin": "zero"})
    trained = [
        method.train(federation, lambda _share: None)
        for method in (closed, Centralised("centralised", recorded=True, method=closed))
    ]
    judge = federation.judge
    one, other = (of.answer(judge.features, judge.present) for of in trained)
    assert np.array_equal(one, other)
