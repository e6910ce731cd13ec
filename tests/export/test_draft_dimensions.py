"""Promises of `fedfin aggregator draft --patients`: what it takes of a projected bundle, and what it says."""

import pytest

from fedfin.command_line.main import main
from fedfin.encoders.bundle import read_manifest
from fedfin.model.plan_file import read_plan
from fedfin.model.second_moment_spec import basis_dim
from fedfin_aggregator.dimensions import columns_for, together


@pytest.fixture
def draft(tiny, export, tmp_path, capsys):
    """Draft a plan for one bundle, of 24 columns or of 32 features."""

    def run(*options, project=True):
        bundle = tmp_path / "bundle"
        axes = ["--project", "random", "--dims", "24"] if project else []
        assert export(bundle, *tiny, *axes, "--force")[0] == 0
        words = ["--federation", "f", "--bundle", str(bundle), "--label", "x", *options]
        code = main(["aggregator", "draft", *words])
        shown = capsys.readouterr()
        (tmp_path / "plan.toml").write_text(shown.out)
        return code, shown.err, read_plan(tmp_path / "plan.toml") if code == 0 else None

    return run


def test_dimensions_follow_from_the_patients(draft):
    """100 patients allow 13 dimensions: 13 columns, and no random features."""
    code, said, plan = draft("--patients", "100")
    assert code == 0
    assert (plan.modalities[0].dim, plan.modalities[0].scale, plan.model.basis_total) == (13, "modality", 13)
    assert basis_dim(plan, "image") == 1 + 13
    assert "100 patients are taken to have every modality: 13 dimensions of each" in said


def test_a_bundle_has_no_more_columns_than_it_has(draft):
    """Whatever the patients allow."""
    assert draft("--patients", "100000")[2].modalities[0].dim == 24


def test_few_patients_are_told(draft):
    """Eight dimensions are the least, and that is said."""
    code, said, plan = draft("--patients", "20")
    assert (code, plan.modalities[0].dim) == (0, 8)
    assert "few patients for 8 dimensions" in said


def test_a_bundle_without_a_projection_is_taken_whole_and_told(draft):
    """It keeps the scale of features, one by one."""
    _, said, plan = draft("--patients", "100", project=False)
    assert (plan.modalities[0].dim, plan.modalities[0].scale) == (32, "feature")
    assert "has no projection: all 32 features are taken" in said


def test_more_complete_patients_than_patients_are_refused(draft):
    """With the option's name and the remedy."""
    code, said, _ = draft("--patients", "10", "--complete", "11")
    assert code == 3
    assert "--complete 11: must be from 1 to the number that --patients says" in said


@pytest.mark.parametrize("patients", [144, 720, 3000, 30_000])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_all_modalities_together_stay_well_below_the_patients(patients, modalities):
    """Unless the least dimensions of each are more than the patients allow."""
    columns = columns_for(patients, modalities)
    assert columns == 8 or modalities * columns <= together(patients) < patients / 3
    assert 8 <= columns <= 256


def test_three_sites_are_drafted_with_secure_sums_and_two_are_not(draft):
    """With what the level asks of the plan; of two sites each would know the other's part."""
    secure, two = (draft("--sites", count)[2] for count in ("3", "2"))
    assert (secure.privacy.level, secure.rounds.min_sites, secure.rounds.max_share) == ("secure", 3, 1.0)
    assert (secure.rounds.mode, secure.rounds.late, secure.codec.up) == ("sync", "reject", "int4")
    assert (two.privacy.level, two.rounds.min_sites, two.rounds.max_share) == ("open", 2, 0.34)


def test_a_draft_with_noise_is_one_exchange_in_the_bundle_s_own_scale(draft, tmp_path):
    """A valid plan: experts alone, and what features are divided by is the public cases'."""
    code, _, plan = draft("--patients", "100", "--sites", "5", "--epsilon", "2")
    assert code == 0
    assert (plan.privacy.level, plan.privacy.epsilon, plan.model.answer) == ("private", 2.0, "experts")
    variances = read_manifest(tmp_path / "bundle").projection.variances
    assert plan.modalities[0].deviation == pytest.approx((sum(variances[:13]) / 13) ** 0.5)
    assert plan.modalities[0].deviation > 0


def test_noise_without_a_public_scale_or_three_sites_is_refused_with_the_remedy(draft):
    """Nobody tells how features vary; and of two sites there is no sum."""
    code, said, _ = draft("--sites", "5", "--epsilon", "2", project=False)
    assert code == 3
    assert "make it again with `fedfin export projection`" in said
    code, said, _ = draft("--sites", "2", "--epsilon", "2")
    assert code == 3
    assert "needs rounds.min_sites of 3 or more" in said
