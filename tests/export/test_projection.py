"""Promises of a bundle's projection: whose axes it has, that sites apply it alike, and what is refused."""

import csv

import msgspec
import numpy as np
import pytest

from fedfin.command_line.main import main
from fedfin.encoders.bundle import MANIFEST, file_digest, read_manifest
from fedfin.encoders.golden import cosine, golden_parts, read_golden
from fedfin.encoders.projection import check_columns, read_projection
from fedfin.errors import BundleError
from fedfin.plan import Plan
from fedfin.plan_sections import Modality
from fedfin_edge.cases.dataset import load_dataset
from fedfin_edge.cases.encoder import open_encoder
from fedfin_edge.site import open_site
from fedfin_export.projection import FILE, Wanted, make_axes


@pytest.fixture
def bundle(tiny, export, tmp_path):
    """A bundle of 32 features, without a projection."""
    assert export(tmp_path / "plain", *tiny)[0] == 0
    return tmp_path / "plain"


@pytest.fixture
def projected(bundle, images, tmp_path):
    """The same with eight principal axes."""
    assert main(["export", "projection", *words(bundle, tmp_path / "new", images), "--dims", "8"]) == 0
    return tmp_path / "new"


def words(bundle, out, images):
    """The arguments of `fedfin export projection`."""
    return [str(bundle), str(out), "--calibrate", str(images)]


def replace_axes(bundle, data):
    """Other bytes in the place of the axes, as the manifest then names them."""
    (bundle / FILE).write_bytes(data)
    raw = msgspec.json.decode((bundle / MANIFEST).read_bytes())
    raw["files"][FILE] = file_digest(bundle / FILE)
    (bundle / MANIFEST).write_bytes(msgspec.json.encode(raw))


def test_principal_axes_are_the_widest_and_keep_their_scale():
    """Of features that vary along two known axes, by 5 and by 2."""
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(400, 3)) * [5.0, 2.0, 0.1]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    axes = make_axes(spread @ turn.T, Wanted("principal", 2))
    assert np.abs(axes @ turn)[[0, 1], [0, 1]] == pytest.approx([1.0, 1.0], abs=1e-3)
    assert (spread @ turn.T @ axes.T).std(axis=0) == pytest.approx([5.0, 2.0], rel=0.1)


def test_a_bundle_says_how_its_columns_vary_over_the_public_cases(projected, images):
    """So that a plan with noise can divide by it; of more columns than there are nothing is said."""
    recipe = read_manifest(projected).projection
    assert len(recipe.variances) == recipe.columns == 8
    assert list(recipe.variances) == sorted(recipe.variances, reverse=True)
    assert recipe.deviation(2) == pytest.approx(((recipe.variances[0] + recipe.variances[1]) / 2) ** 0.5)
    assert recipe.deviation(9) is None
    assert msgspec.structs.replace(recipe, variances=msgspec.UNSET).deviation(2) is None


def test_random_axes_are_orthonormal_and_follow_their_seed():
    """No axis repeats another, and the same seed gives the same."""
    features = np.random.default_rng(0).normal(size=(20, 50))
    one, again, other = (make_axes(features, Wanted("random", 30, seed)) for seed in (1, 1, 2))
    assert one @ one.T == pytest.approx(np.eye(30), abs=1e-12)
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_as_many_axes_as_cases_allow(projected, bundle, images, tmp_path, capsys):
    """24 cases about their mean vary along 23 axes: that is the default, and more are refused with the reason."""
    assert main(["export", "projection", *words(bundle, tmp_path / "most", images)]) == 0
    assert read_manifest(tmp_path / "most").columns == 23
    assert main(["export", "projection", *words(bundle, tmp_path / "more", images), "--dims", "24"]) == 4
    assert "24 calibration cases vary along 23 axes, so there can be no 24" in capsys.readouterr().err


def test_an_encoder_exported_with_axes_is_the_bundle_that_gets_them_later(
    tiny, export, projected, bundle, tmp_path
):
    """One digest by both ways; it is not that of the encoder alone."""
    assert export(tmp_path / "at once", *tiny, "--project", "principal", "--dims", "8")[0] == 0
    assert read_manifest(tmp_path / "at once").digest() == read_manifest(projected).digest()
    assert read_manifest(bundle).digest() != read_manifest(projected).digest()


def test_what_a_site_compares_with_is_of_the_projection(projected):
    """Columns, not the encoder's features."""
    encoder = open_encoder(projected)
    known = read_golden(projected)
    assert known.shape == (encoder.manifest.columns,)
    assert cosine(known, encoder.features(golden_parts(projected, encoder.manifest.recipe))) > 0.9999


def test_a_new_projection_takes_the_place_of_the_old(projected, bundle, images, tmp_path):
    """It is of the encoder's features, not of the old columns."""
    options = ["--project", "random", "--dims", "16", "--seed", "3"]
    for source in (projected, bundle):
        assert (
            main(["export", "projection", *words(source, tmp_path / source.name / "r", images), *options])
            == 0
        )
    both = [read_manifest(tmp_path / source.name / "r") for source in (projected, bundle)]
    assert both[0] == both[1]
    assert both[0].projection.columns == 16


def test_a_site_encodes_to_the_projection_of_the_encoders_features(projected, bundle, images):
    """Centred by the calibration cases' mean, along the axes."""
    inputs = sorted(images.iterdir())
    plain, short = open_encoder(bundle).encode(inputs), open_encoder(projected).encode(inputs)
    mean, *axes = np.fromfile(projected / FILE, "<f4").reshape(9, 32).astype(np.float64)
    assert short == pytest.approx((plain - mean) @ np.stack(axes).T, abs=1e-5)
    assert short.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-5)


def test_columns_are_bit_equal_for_any_number_of_processes(projected, images, tmp_path):
    """And the plan takes the first of them."""
    with (tmp_path / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "sick"], *([path, 1] for path in sorted(images.iterdir()))])
    found = []
    for processes in ("1", "2"):
        site = str(tmp_path / processes)
        options = [
            "--site",
            "a",
            "--federation",
            "f",
            "--broker",
            "mqtt://x",
            "--cases",
            str(tmp_path / "cases.csv"),
        ]
        assert main(["edge", "init", site, *options, "--bundle", str(projected)]) == 0
        assert main(["edge", "encode", site, "--processes", processes]) == 0
        found.append(
            {dim: load_dataset(open_site(tmp_path / processes), plan(projected, dim)) for dim in (8, 3)}
        )
    assert found[0][8].digest() == found[1][8].digest()
    assert np.array_equal(found[0][8].features["image"][:, :3], found[1][3].features["image"])


def plan(bundle, dim):
    """A plan that takes so many columns."""
    manifest = read_manifest(bundle)
    modality = Modality(name=manifest.modality, encoder=manifest.digest(), dim=dim)
    return Plan(federation="f", labels=("sick",), modalities=(modality,))


def test_a_plan_that_asks_for_more_columns_is_refused(projected, bundle):
    """With what the coordinator must do; without a projection it must be all features."""
    with pytest.raises(
        BundleError, match=r"asks for 9 features of 'image'.* has 8 columns; .* dim = 8 or less"
    ):
        check_columns(projected, read_manifest(projected), plan(projected, 9).modalities[0])
    with pytest.raises(BundleError, match=r"gives 32; .* dim = 32, or add a projection"):
        check_columns(bundle, read_manifest(bundle), plan(bundle, 31).modalities[0])
    check_columns(projected, read_manifest(projected), plan(projected, 3).modalities[0])


def test_a_changed_byte_of_the_axes_is_refused(projected):
    """The file is digested like every other."""
    data = bytearray((projected / FILE).read_bytes())
    data[-1] ^= 1
    (projected / FILE).write_bytes(data)
    with pytest.raises(BundleError, match="is not the file that the manifest names"):
        open_encoder(projected)


def test_a_file_of_another_length_is_refused_before_it_is_read(projected, monkeypatch):
    """Whatever its digest: the manifest says how many bytes there are."""
    replace_axes(projected, (projected / FILE).read_bytes() + bytes(4))
    monkeypatch.setattr("fedfin.encoders.projection.read_at_most", pytest.fail)
    with pytest.raises(BundleError, match=r"has 1,156 bytes; a mean and 8 axes of 32 features are 1,152"):
        open_encoder(projected)


def test_axes_that_are_not_finite_are_refused(projected):
    """Also when they are digested."""
    replace_axes(projected, np.full((9, 32), np.nan, "<f4").tobytes())
    with pytest.raises(BundleError, match="not finite"):
        open_encoder(projected)


def test_a_bundle_without_a_projection_has_the_digest_that_it_had(bundle):
    """Nothing of it is in the manifest."""
    assert b"projection" not in (bundle / MANIFEST).read_bytes()
    assert read_projection(bundle, read_manifest(bundle)) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dims", "0"], "1 to 256"),
        (["--dims", "257"], "1 to 256"),
        (["--seed", "1"], "--seed is for random axes"),
        (["--project", "random", "--dims", "33"], "the encoder has 32 features"),
    ],
)
def test_mistakes_are_explained(options, message, bundle, images, tmp_path, capsys):
    """Exit code 4, and nothing is written."""
    assert main(["export", "projection", *words(bundle, tmp_path / "out", images), *options]) == 4
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
