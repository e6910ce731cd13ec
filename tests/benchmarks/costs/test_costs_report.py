"""The report, its promises, and the documents that quote it."""

import json
import re

import pytest

from benchmarks.costs.claims import check, read_budgets
from benchmarks.costs.cli import STEPS as NAMED
from benchmarks.costs.figures import figures
from benchmarks.costs.prices import read_prices
from benchmarks.costs.quoted import DOCUMENTS, quoted, read_measured
from benchmarks.costs.report import markdown, page
from benchmarks.costs.steps import STEPS
from benchmarks.costs.tables import tables
from benchmarks.footprint import installed_mb
from fedfin.command_line.main import main
from fedfin.errors import InputError, SettingsError

TABLES = tables(read_measured(), read_prices())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_quote_what_was_measured(document):
    text = document.read_text(encoding="utf-8")
    assert quoted(text, read_measured()) == text, "run python -m benchmarks.costs.quoted"


def test_a_figure_that_nobody_measured_is_named():
    with pytest.raises(InputError, match="no_such"):
        quoted("<!-- costs: no_such .1f --><!-- end -->", read_measured())


def test_every_promise_is_measured_and_holds():
    claims = check(figures(read_measured()), read_budgets())
    assert {claim.budget.claim: claim.outcome for claim in claims} == {
        c.budget.claim: "holds" for c in claims
    }


def test_a_budget_says_which_side_it_bounds(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('[[budget]]\nfigure = "f"\nclaim = "c"\nhow = "h"\n')
    with pytest.raises(SettingsError, match="at_least or at_most"):
        read_budgets(path)


def test_a_broken_promise_is_told(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('[[budget]]\nfigure = "f"\nclaim = "c"\nhow = "h"\nat_most = 1\n')
    budgets = read_budgets(path)
    assert [check({"f": value}, budgets)[0].outcome for value in (1.0, 1.1)] == ["holds", "broken"]
    assert check({}, budgets)[0].outcome == "not measured"


def test_a_quick_run_is_not_held_to_what_it_does_not_measure(tmp_path, capsys):
    """But to everything else; and a full run to all."""
    quick = {name: {**result, "quick": True} for name, result in read_measured().items() if name != "presets"}
    courses = [course for course in quick["learning"]["courses"] if course["preset"] == "exact"]
    quick["learning"]["courses"] = courses
    for name, result in quick.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result | {"seconds": 1.0}))
    assert main(["bench", "check", str(tmp_path)]) == 0
    assert "in full runs" in capsys.readouterr().out
    (tmp_path / "sizes.json").write_text(json.dumps(read_measured()["sizes"]))
    (tmp_path / "learning.json").unlink()
    assert main(["bench", "check", str(tmp_path)]) == 1


def test_the_time_of_all_steps_is_held_against_what_is_promised():
    """Of a quick run two minutes; nothing is said where steps are lacking or were measured otherwise."""
    full = {name: {**result, "quick": False, "seconds": 60.0} for name, result in read_measured().items()}
    assert figures(full)["bench_time_share"] == pytest.approx(len(STEPS) / 15)
    quick = {
        step.name: {**full[step.name], "quick": True, "seconds": 10.0} for step in STEPS if step.seconds[True]
    }
    assert figures(quick)["bench_time_share"] == pytest.approx(len(quick) / 12)
    assert "bench_time_share" not in figures(full | {"wire": quick["wire"]})
    assert "bench_time_share" not in figures({"sizes": full["sizes"]})


def test_what_compression_costs_is_beside_the_same_seed_uncompressed():
    """In the mean and of the worst seed, by the first preset; and of the worst of all."""
    finals = {"exact": (90.0, 92.0), "small": (90.0, 91.8), "tiny": (90.2, 91.0), "minimal": (89.9, 92.0)}
    courses = [
        {"preset": preset, "seed": seed, "final": final}
        for preset, of_preset in finals.items()
        for seed, final in enumerate(of_preset)
    ]
    found = figures({"learning": {"courses": courses}})
    assert found["small_loss"] == pytest.approx(0.1)
    assert found["small_loss_of_a_seed"] == pytest.approx(0.2)
    assert found["smallest_loss_of_a_seed"] == pytest.approx(1.0)


def test_the_base_install_is_what_the_package_needs_without_extras():
    """As its metadata say, and what these need in turn."""
    packages = installed_mb()
    assert {"fedfin", "numpy", "msgspec", "paho-mqtt", "rich", "cryptography", "cffi"} <= packages.keys()
    assert not {"torch", "onnxruntime", "pillow"} & packages.keys()
    assert min(packages.values()) > 0


def test_the_page_has_every_table_with_its_command_and_fetches_nothing():
    pytest.importorskip("matplotlib")
    html = page(read_measured(), read_prices())
    for table in TABLES:
        assert f'<section id="{table.key}">' in html
        assert f"<code>{table.command}</code>" in html
    assert "<svg" in html
    assert not re.search(r'(?:src|href)="(?!#)', html)


def test_markdown_and_page_tell_the_same_tables():
    text = markdown(read_measured(), read_prices())
    for table in TABLES:
        assert f"## {table.title}\n\n`{table.command}`" in text


def test_the_report_is_written_from_what_there_is(tmp_path, capsys):
    assert main(["bench", "all", "--out", str(tmp_path), "--only", "sizes", "--quick"]) == 0
    assert "the report is in" in capsys.readouterr().out
    assert "times smaller" in (tmp_path / "report.md").read_text()
    assert main(["bench", "check", str(tmp_path)]) == 1
    assert "not measured" in capsys.readouterr().out


def test_a_damaged_result_is_named_with_the_remedy(tmp_path):
    (tmp_path / "sizes.json").write_text("{")
    assert main(["bench", "report", str(tmp_path)]) == 4


def test_results_that_are_not_there_are_said_to_be(tmp_path):
    assert main(["bench", "report", str(tmp_path / "none")]) == 4


def test_a_step_that_is_none_is_refused(tmp_path):
    assert main(["bench", "all", "--out", str(tmp_path), "--only", "everything"]) == 3


def test_the_command_names_the_steps():
    assert tuple(step.name for step in STEPS) == NAMED


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.key)
def test_a_tables_command_names_steps_that_there_are(table):
    steps = re.findall(r"--only (\S+)", table.command)
    assert steps
    assert set(steps) <= set(NAMED)


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.key)
def test_a_tables_command_makes_it(table, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "costs"  # a step that is done serves the next table, too
    options = table.command.removeprefix("fedfin ").split()
    assert main([*options, "--out", str(folder)]) == 0
    assert f"## {table.title}" in (folder / "report.md").read_text()
