"""The report on invented rows: its verdict by rule, and what its page holds."""

import json
import re

import pytest
from study_cases import row

from benchmarks.rows import append_row
from benchmarks.study.page import page
from benchmarks.study.report import print_markdown, read_same_recipe, read_scores
from benchmarks.study.scores import Scores, mean
from benchmarks.study.summary import summarise
from benchmarks.study.verdict import failures, judge
from benchmarks.study.words import verdict_lines
from fedfin.command_line.main import main
from fedfin.errors import InputError


def rows(ours, theirs, rival="zero-fill", **where):
    """Both methods over seeds; a number of AUC each, or views."""
    return [
        one
        for seed, (a, b) in enumerate(zip(ours, theirs, strict=True))
        for one in (row("fedfin", a, seed=seed, **where), row(rival, b, seed=seed, **where))
    ]


def test_a_column_that_is_clearly_below_is_a_violation_and_no_other():
    found = rows([80, 81, 82], [80, 81, 82])
    for one in found:
        if one["method"] == "zero-fill":
            one["views"]["only b"]["auc"] += 0.5
    verdict = judge(Scores(found))
    assert [(v.view, v.rival, round(v.difference, 6)) for v in verdict.violations] == [
        ("only b", "zero-fill", -0.5)
    ]
    assert verdict_lines(verdict)[0].startswith("Harm found in one column")
    assert (verdict.compared, verdict.columns) == (4, 4)


@pytest.mark.parametrize("rival", ["zero-fill", "plain-fin", "paper-fin", "only-common", "only-rare"])
def test_every_rival_that_may_not_be_harmed_is_compared(rival):
    verdict = judge(Scores(rows([80, 80, 80], [81, 81.1, 80.9], rival)))
    assert {v.rival for v in verdict.violations} == {rival}
    assert len(verdict.violations) == 4


def test_what_is_within_tolerance_or_noise_is_no_violation_but_noise_is_told():
    assert not judge(Scores(rows([80, 80, 80], [80.3, 80.3, 80.3]))).harms
    verdict = judge(Scores(rows([80, 80, 80], [84, 80, 77.5])))
    assert not verdict.violations
    assert len(verdict.harms) == 4
    lines = verdict_lines(verdict)
    assert lines[0].startswith("No harm found")
    assert "4 times where seed noise can explain it" in lines[1]
    assert "in 4 of 4 columns" in lines[3]


def test_other_rivals_and_upper_bounds_cannot_be_harmed():
    for rival in ("retrieval", "centralised"):
        assert judge(Scores(rows([80, 80, 80], [90, 90, 90], rival))).compared == 0


def test_every_clearly_better_method_is_told_but_for_bounds_and_more_data():
    """What has the public cases is compared with the default that has them, too."""
    found = rows([80, 80, 80], [81, 81.1, 80.9], "p-fin") + rows([80] * 3, [90] * 3, "centralised")
    found += rows([80] * 3, [85] * 3, "retrieval")
    found += [row("fedfin-public", 84.8 if seed else 84.9, seed=seed) for seed in range(3)]
    alone = judge(Scores([one for one in found if one["method"] != "fedfin-public"]))
    assert {harm.rival for harm in alone.behind} == {"p-fin", "retrieval"}
    verdict = judge(Scores(found))
    assert {harm.rival for harm in verdict.behind} == {"p-fin"}
    assert "in 0 of 4 columns" in verdict_lines(verdict)[2]
    page_of_it = page(Scores(found))
    assert "<h2>Where another is better</h2>" in page_of_it


def test_of_one_seed_every_lower_column_counts_and_the_words_say_so():
    verdict = judge(Scores(rows([80], [81])))
    assert len(verdict.violations) == 4
    assert any("fewer than three seeds" in line for line in verdict_lines(verdict))


def test_complete_cases_below_a_part_of_them_beyond_noise_are_found_and_told():
    """By the default itself, whatever rivals do."""
    found = [row("fedfin", 80 + seed, seed=seed, only_b=80.5 + seed) for seed in range(3)]
    verdict = judge(Scores([*found, row("zero-fill", 60, only_a=90)]))
    assert [(part.part, part.difference, part.clear) for part in verdict.parts] == [("only b", -0.5, True)]
    assert verdict.parts_compared == 2
    assert any(line.startswith("More hurts once") for line in verdict_lines(verdict))
    assert "<h2>Complete below a part of it</h2>" in page(Scores(found))


def test_complete_cases_below_a_part_of_them_within_noise_are_told_as_that():
    """Listed, but no violation; and within the tolerance not even that."""
    found = [row("fedfin", 80, seed=seed, only_b=only) for seed, only in enumerate((79, 82, 82))]
    verdict = judge(Scores(found))
    assert [part.clear for part in verdict.parts] == [False]
    assert any(line.startswith("More does not hurt") for line in verdict_lines(verdict))
    assert not judge(Scores([row("fedfin", 80, seed=seed, only_b=80.3) for seed in range(3)])).parts


def test_where_incomplete_cases_judge_nothing_is_complete():
    """What was recorded of them is not of the same cases as one modality alone."""
    one = row("fedfin", 80, only_b=90)
    one["views"]["as recorded"] = one["views"].pop("complete")
    assert judge(Scores([one])).parts_compared == 0


def test_what_was_not_run_is_told():
    lines = verdict_lines(judge(Scores([row("zero-fill")])))
    assert "not known" in lines[0]
    assert any("fedfin, plain FIN, single-modality federation" in line for line in lines)


def test_gains_are_means_over_columns_with_the_seeds_noise():
    (gain,) = judge(Scores(rows([81, 82, 83], [80, 80, 80]))).gains
    assert (gain.difference, gain.columns, gain.seeds) == (2, 4, 3)
    assert gain.noise == pytest.approx(2 * 1 / 3**0.5)


def test_the_lead_is_over_the_best_rival_of_each_column_and_no_upper_bound():
    """By data set, and over all columns; where another rival is the best, by that one."""
    ours = [row("fedfin", 80, seed=seed, only_a=90) for seed in range(3)]
    rivals = [
        row(name, auc, seed=seed) for name, auc in (("zero-fill", 78), ("p-fin", 82)) for seed in range(3)
    ]
    bound = [row("centralised", 99, seed=seed) for seed in range(3)]
    found = [*ours, *rivals, *bound, *rows([80] * 3, [79] * 3, data="e")]
    verdict = judge(Scores(found))
    assert [(lead.data, lead.difference, lead.columns, lead.ahead) for lead in verdict.leads] == [
        ("d", (-2 + 8 - 2 - 2) / 4, 4, 1),
        ("e", 1, 4, 4),
        ("", 0.75, 8, 5),
    ]
    assert any("+0.75 in the mean of 8 columns, and is ahead in 5" in line for line in verdict_lines(verdict))


def test_what_is_below_zero_fill_did_not_work():
    found = rows([81, 82, 83], [80, 80, 80])
    found += [row("uniform-fill", 78 - seed, seed=seed, only_a=60) for seed in range(3)]
    (failure,) = failures(Scores(found))
    assert failure.method == "uniform-fill"
    assert (failure.worst, failure.worst_view) == (-20, "only a")


def test_the_last_row_of_a_name_counts_and_a_failure_is_made_good():
    failed = {k: v for k, v in row().items() if k != "views"} | {"error": "ValueError: no"}
    scores = Scores([row(auc=70), row(auc=80), failed, failed | {"seed": 1}])
    assert [one["views"]["complete"]["auc"] for one in scores.rows] == [80]
    assert [one["seed"] for one in scores.failed] == [1]


def test_mean_spread_and_noise():
    found = mean({0: 1.0, 1: 2.0, 2: 3.0})
    assert (found.value, found.spread, found.noise) == (2, 1, pytest.approx(2 / 3**0.5))


@pytest.fixture(scope="module")
def scores():
    found = rows([81, 82, 83], [80, 80, 80], data="<digits>")
    found += rows([81, 82, 83], [82, 83, 84], "plain-fin", data="<digits>", setting="6:0:4")
    found += [row(f"fin-decoder/fin_heads={n}", 80, data="<digits>") for n in (1, 2, 4, 8)]
    found += [row("uniform-fill", 60, data="<digits>", seed=seed) for seed in range(2)]
    found += [{**row("text-decoder", data="<digits>"), "skipped": "no modality is a text"}]
    del found[-1]["views"]
    return Scores(found)


def test_the_page_holds_everything_and_asks_for_nothing_from_elsewhere(scores):
    html = page(scores)
    for title in ("Main table", "Gain", "Ablations", "Imputed features", "Calibration of answers"):
        assert f"<h2>{title}</h2>" in html
    for text in (
        "Harm found in 4 columns",
        "fin_heads",
        "&lt;digits&gt;",
        "no modality is a text",
        "2 of 3 seeds",
    ):
        assert text in html
    assert html.count("<svg") == 4  # by setting, gain, cost, one ablation
    assert "<script" not in html
    assert "<digits>" not in html
    assert not re.search(r'(?:src|href)="(?!#)', html.replace("xlink:href", "href"))


def test_the_summary_is_plain_json(scores):
    summary = json.loads(json.dumps(summarise(scores)))
    assert summary["verdict"]["violations"] == 4
    (line,) = [one for one in summary["main"] if (one["setting"], one["kind"]) == ("8:0:2", "complete")]
    assert line["methods"]["zero-fill"]["difference"] == 2
    assert line["methods"]["zero-fill"]["noise"] == pytest.approx(2 * 1 / 3**0.5)
    assert line["methods"]["fedfin"]["noise"] is None
    assert line["methods"]["plain-fin"] is None
    assert {"method": "uniform-fill", "data": "<digits>", "setting": "6:0:4", "seeds": 0, "of": 3} in summary[
        "missing"
    ]


def test_the_terminal_has_the_main_table_and_the_verdict(scores, capsys):
    print_markdown(scores)
    text = capsys.readouterr().out
    assert "| 8:0:2, complete" in text
    assert "82.0 ± 1.0" in text
    assert "Harm found in 4 columns" in text


def test_the_terminal_says_by_setting_whether_what_is_claimed_of_imputed_features_is_honest(scores, capsys):
    """Only one kind of test case has imputed features: it is the mean, the least and the most."""
    print_markdown(scores)
    lines = [re.sub(r"\s+", " ", line) for line in capsys.readouterr().out.splitlines()]
    assert "| <digits> | 8:0:2 | 1.50 | 80% | 80% | 80% |" in lines


def test_the_command_writes_the_page(tmp_path, capsys):
    results = tmp_path / "study.jsonl"
    for one in rows([81], [80]):
        append_row(results, one)
    assert main(["study", "report", str(results), "--out", str(tmp_path / "report.html")]) == 0
    assert "No harm found" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "report.html").read_text()
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match="no run of it ended well"):
        read_scores(tmp_path / "empty.jsonl")


@pytest.fixture
def both_recipes(tmp_path):
    """Rivals catch up where each is at its best."""
    results = tmp_path / "study.jsonl"
    for one in rows([81, 82, 83], [70, 70, 70]):
        append_row(results, one)
    for one in rows([84, 85, 86], [86, 86.9, 88.1]):
        append_row(results, {**one, "key": f"{one['key']}/best", "best": True})
    return results


def main_tables(html):
    """The page's two, by the section's id."""
    return {
        name: html.partition(f'<section id="{name}">')[2].partition("</section>")[0]
        for name in ("main", "same")
    }


def test_the_page_shows_both_recipes_and_its_verdict_goes_by_the_second(both_recipes, tmp_path, capsys):
    assert main(["study", "report", str(both_recipes), "--out", str(tmp_path / "report.html")]) == 0
    assert capsys.readouterr().out.startswith("Harm found in 4 columns")
    html = (tmp_path / "report.html").read_text()
    tables = main_tables(html)
    assert "<b>87.0</b>" in tables["main"]
    assert "70.0" not in tables["main"]
    assert "70.0" in tables["same"]
    assert "87.0" not in tables["same"]
    assert "Each method at its best, which the verdict goes by" in tables["main"]


def test_the_terminal_and_other_programs_have_both_recipes(both_recipes, capsys):
    assert main(["study", "report", str(both_recipes), "--markdown"]) == 0
    same, _, best = capsys.readouterr().out.partition("Each method at its best")
    assert "70.0" in same
    assert "87.0" in best
    assert "Harm found" in best
    assert main(["study", "report", str(both_recipes), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["main"][0]["methods"]["zero-fill"]["auc"] == pytest.approx(87)
    assert summary["same_recipe"][0]["methods"]["zero-fill"]["auc"] == 70


def test_what_is_harmed_by_the_same_recipe_alone_is_named_everywhere(tmp_path, capsys):
    """Where a rival at its best is worse than by the recipe; what is harmed by both is not named again."""
    results = tmp_path / "study.jsonl"
    for one in rows([80] * 3, [81] * 3):
        append_row(results, one)
    for one in rows([80] * 3, [80] * 3):
        one["views"]["only a"]["auc"] -= one["method"] == "fedfin"
        append_row(results, {**one, "key": f"{one['key']}/best", "best": True})
    harmed = ["complete", "only b", "half missing"]
    assert main(["study", "report", str(results), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [harm["view"] for harm in summary["harmed_by_same_recipe"]] == harmed
    assert main(["study", "report", str(results), "--markdown"]) == 0
    text = capsys.readouterr().out.partition("By the same recipe: Harm found in 4 columns")[2]
    assert re.findall(r"- d, 8:0:2, (.*): -1.00 to zero-fill", text) == harmed
    html = page(read_scores(results), read_same_recipe(results))
    assert html.partition('<section id="same">')[2].count("-1.00 to zero-fill (noise") == 3


def test_the_terminal_lists_where_another_is_better(capsys):
    print_markdown(Scores(rows([80] * 3, [81] * 3, "p-fin")))
    text = capsys.readouterr().out.partition("Where another is better")[2]
    assert "- d, 8:0:2, only b: -1.00 to p-fin" in text


def test_a_page_of_one_recipe_has_one_main_table(scores):
    assert not main_tables(page(scores))["same"]


@pytest.mark.parametrize("command", ["run", "report", "methods", "presets"])
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit):
        main(["study", command, "--help"])
    assert f"example: fedfin study {command}" in capsys.readouterr().out


def test_methods_and_presets_are_listed(capsys):
    assert main(["study", "methods"]) == 0
    assert main(["study", "presets", "--json"]) == 0
    assert "zero-fill" in capsys.readouterr().out
