"""Promises of `fedfin aggregator draft --patients`: what it takes of a projected bundle, and what it says."""

from pathlib import Path

import pytest

from benchmarks.leakage.measure import EVERYTHING, STRONG, WEAK
from benchmarks.leakage.report import read_report
from fedfin.command_line.main import main
from fedfin.encoders.bundle import read_manifest
from fedfin.model.plan_file import read_plan
from fedfin.model.second_moment_spec import basis_dim
from fedfin.plan_sections import Privacy
from fedfin.privacy.dimensions import (
    FEW_DIMS,
    FEW_PATIENTS,
    MEASURED,
    Sum,
    columns_for,
    largest_excess,
    together,
)

ROOT = Path(__file__).parents[2]


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
    """400 patients allow 12 dimensions: 12 columns, and no random features."""
    code, said, plan = draft("--patients", "400", "--sites", "10")
    assert code == 0
    assert (plan.modalities[0].dim, plan.modalities[0].scale, plan.model.basis_total) == (12, "modality", 12)
    assert basis_dim(plan, "image") == 1 + 12
    assert said == "draft: 400 patients are taken to have every modality. Dimensions: 12 of image\n"


def test_a_bundle_has_no_more_columns_than_it_has(draft):
    """Whatever the patients allow."""
    assert draft("--patients", "100000")[2].modalities[0].dim == 24


def test_few_patients_are_told(draft):
    """Eight dimensions are the least, and what more tells is said with what was measured."""
    code, said, plan = draft("--patients", "100", "--sites", "10")
    assert (code, plan.modalities[0].dim) == (0, 8)
    assert "8 dimensions of each modality are the least, and more than so few patients allow" in said
    assert "100 patients are behind a sum in 8 dimensions, and hide in 6" in said


@pytest.mark.parametrize("options", [("--sites", "2"), ("--sites", "10", "--epsilon", "8")])
def test_of_sums_that_are_not_made_or_have_noise_nothing_is_said_that_hides(draft, options):
    """At two sites the aggregator sees more than any sum; under noise dimensions hide nobody, and need not."""
    code, said, _ = draft("--patients", "100", *options)
    assert code == 0
    assert "behind a sum" not in said
    assert ("nothing is summed: the aggregator sees" in said) == ("2" in options)


def test_the_figure_of_few_patients_is_the_measured_one():
    """Of the leakage benchmark's committed run."""
    (cell,) = read_report(ROOT / "benchmarks/leakage/measured/few.json").cells
    assert (cell.level, cell.sites * cell.patients, cell.dims) == ("secure", FEW_PATIENTS, FEW_DIMS)
    weak, strong = (f"{cell.scores[f'{EVERYTHING}, {who}']:.2f}"[1:] for who in (WEAK, STRONG))
    assert (weak, strong) == MEASURED


def test_a_draft_with_secure_sums_and_no_patients_says_so(draft):
    """Nobody has compared its columns with the patients behind them; without sums there is nothing to say."""
    assert "--patients is not given: all columns are taken" in draft("--sites", "3")[1]
    assert draft("--sites", "2")[1] == ""


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


@pytest.mark.parametrize("complete", [200, 720, 3000, 30_000])
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_every_sum_has_no_more_dimensions_than_its_patients_allow(complete, modalities):
    """That of complete cases has all modalities at once, the others one; whoever is behind each of them."""
    for most in (complete, complete + 50, 10 * complete):
        patients = [most, *[complete] * (modalities - 1)]
        columns = columns_for(patients, complete)
        assert sum(columns) <= together(complete) or 8 in columns
        assert largest_excess(columns, patients, complete) is None or 8 in columns
        assert all(8 <= column <= 256 for column in columns)


def test_the_modality_that_more_patients_have_gets_more_dimensions():
    """In proportion to what its own patients allow."""
    assert columns_for([3000, 12000], 3000) == [11, 21]
    assert columns_for([6000, 6000], 6000) == [23, 23]


def test_what_one_modality_s_least_has_too_much_the_other_lacks():
    """Of 720 complete patients 16 dimensions: eight of the modality that fewer have, and eight are left."""
    assert columns_for([6000, 800], 720) == [8, 8]


def test_few_incomplete_cases_of_a_modality_limit_it():
    """They are a sum of their own: twenty patients allow no more than the least, whatever the complete ones do."""
    assert columns_for([3000, 2020], 2000) == [18, 8]
    assert largest_excess([18, 8], [3000, 2020], 2000) == Sum(20, 8)


def test_where_nobody_has_two_modalities_each_has_what_its_patients_allow():
    """There is no sum of both."""
    assert columns_for([900, 400], 0) == [18, 12]
    assert largest_excess([18, 12], [900, 400], 0) is None
    assert largest_excess([18, 13], [900, 400], 0) == Sum(400, 13)


@pytest.fixture
def draft_two(image_bundle, text_bundle, capsys):
    """Draft a plan for an image and a text bundle, neither projected."""

    def run(*options):
        bundles = ["--bundle", str(image_bundle), "--bundle", str(text_bundle)]
        code = main(["aggregator", "draft", "--federation", "f", *bundles, "--label", "x", *options])
        return code, capsys.readouterr().err

    return run


def test_patients_by_modality_give_dimensions_by_modality(draft_two):
    """By name, whatever their order; the complete ones are the least of them."""
    code, said = draft_two("--patients", "text=3000,image=12000")
    assert code == 0
    assert "3000 patients are taken to have every modality. Dimensions: 21 of image, 11 of text" in said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--patients", "image=3000"], "the modalities of the bundles are image, text; give each a number"),
        (["--patients", "image=3000,scan=600"], "the modalities of the bundles are image, text"),
        (["--patients", "image=3000,600"], "the modalities of the bundles are image, text"),
        (["--patients", "many"], "must be a number, or one for each modality: image=3000,text=600"),
        (["--patients", "0"], "must be a number"),
        (["--patients", "image=3000,text=600", "--complete", "601"], "must be from 0 to the number"),
        (["--complete", "5"], "says how many of --patients have every modality; give both"),
    ],
)
def test_numbers_that_do_not_fit_the_bundles_are_refused(draft_two, options, told):
    """With the option, and the remedy."""
    code, said = draft_two(*options)
    assert code == 3
    assert told in said


def test_three_sites_are_drafted_with_secure_sums_and_two_are_not(draft):
    """With what the level asks of the plan; of two sites each would know the other's part."""
    secure, two = (draft("--sites", count)[2] for count in ("3", "2"))
    assert (secure.privacy.level, secure.rounds.min_sites, secure.rounds.max_share) == ("secure", 3, 1.0)
    assert (secure.rounds.mode, secure.rounds.late, secure.codec.up) == ("sync", "reject", "int4")
    assert (two.privacy.level, two.rounds.min_sites, two.rounds.max_share) == ("open", 2, 0.34)


def test_a_draft_of_three_sites_is_made_open_as_the_readme_says(draft, tmp_path):
    """With two keys changed, and one left out, it is a plan that can be tried out without keys."""
    assert draft("--sites", "3")[0] == 0
    path = tmp_path / "plan.toml"
    text = path.read_text().replace("least_answers = 10\n", "")
    path.write_text(text.replace('level = "secure"', 'level = "open"').replace('up = "int4"', 'up = "exact"'))
    assert not read_plan(path).privacy.summed


def test_a_draft_with_noise_is_one_exchange_in_the_bundle_s_own_scale(draft, tmp_path):
    """A valid plan: experts alone, and what features are divided by is the public cases'."""
    code, _, plan = draft("--patients", "400", "--sites", "5", "--epsilon", "2")
    assert code == 0
    assert (plan.privacy.level, plan.privacy.epsilon, plan.model.answer) == ("private", 2.0, "experts")
    variances = read_manifest(tmp_path / "bundle").projection.variances
    assert plan.modalities[0].deviation == pytest.approx((sum(variances[:12]) / 12) ** 0.5)
    assert plan.modalities[0].deviation > 0


@pytest.mark.parametrize(("sites", "least"), [("3", 3), ("5", 4), ("10", 7)])
def test_a_draft_with_noise_waits_for_as_many_sites_as_open_a_sum(draft, sites, least):
    """Fewer would each add more noise, and a sum of all needs as many anyway."""
    assert draft("--sites", sites, "--epsilon", "2")[2].rounds.min_sites == least


def test_noise_without_a_public_scale_or_three_sites_is_refused_with_the_remedy(draft):
    """Nobody tells how features vary; and of two sites there is no sum."""
    code, said, _ = draft("--sites", "5", "--epsilon", "2", project=False)
    assert code == 3
    assert "make it again with `fedfin export projection`" in said
    code, said, _ = draft("--sites", "2", "--epsilon", "2")
    assert code == 3
    assert "needs rounds.min_sites of 3 or more" in said


@pytest.mark.parametrize(
    ("sites", "asked", "least"), [("3", 3, 3), ("10", 3, 8), ("10", 9, 9), ("10", 10, 10)]
)
def test_a_draft_can_ask_for_sites_behind_every_block(draft, sites, asked, least):
    """With so many in every round that no two sums of one differ by fewer that have a block."""
    code, _, plan = draft("--sites", sites, "--least-sites-per-block", str(asked))
    assert (code, plan.privacy.level, plan.privacy.least_sites_per_block) == (0, "secure", asked)
    assert plan.rounds.min_sites == least


def test_a_draft_with_secure_sums_leaves_out_what_fewer_than_ten_patients_answer(draft):
    """At "open" each site does so itself, and noise covers it."""
    assert draft("--sites", "3")[2].privacy.least_answers == 10
    assert not draft("--sites", "2")[2].privacy.least_answers
    assert not draft("--sites", "5", "--patients", "400", "--epsilon", "2")[2].privacy.least_answers


def test_a_draft_does_not_ask_for_sites_behind_every_block_by_itself(draft):
    """It costs what too few sites have. A sum is of more than two thirds: fewer others know the last one's part."""
    plan = draft("--sites", "10")[2]
    assert not plan.privacy.least_sites_per_block
    assert plan.rounds.min_sites == 7
    assert draft("--sites", "3")[2].rounds.min_sites == 3


def test_a_draft_without_noise_says_nothing_of_it(draft, tmp_path):
    """It would read as a promise that is not made; the plan is the same."""
    plan = draft("--sites", "10")[2]
    text = (tmp_path / "plan.toml").read_text()
    assert not any(key in text for key in ("epsilon", "delta"))
    assert plan.privacy.epsilon == Privacy().epsilon


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--sites", "10", "--least-sites-per-block", "2"],
            "key privacy.least_sites_per_block: Expected `int` >= 3",
        ),
        (["--sites", "10", "--least-sites-per-block", "11"], "(11) exceeds rounds.min_sites (10)"),
        (["--sites", "2", "--least-sites-per-block", "3"], 'is for privacy.level = "secure", not "open"'),
        (
            ["--sites", "5", "--least-sites-per-block", "3", "--epsilon", "2"],
            'is for privacy.level = "secure", not "private"',
        ),
    ],
)
def test_sites_behind_every_block_that_no_plan_allows_are_refused(draft, options, told):
    """As in a plan's file."""
    code, said, _ = draft(*options)
    assert code == 3
    assert told in said
    assert "correct the option for it" in said
