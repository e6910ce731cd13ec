"""The page of what was measured has the tables, the verdict and the gains of the rows that are committed."""

import gzip
import itertools
import re
from pathlib import Path

import pytest

from benchmarks.study.report import read_same_recipe, read_scores
from benchmarks.study.summary import summarise

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "method-measured.md").read_text()
LADDER = ("fedfin", "centralised-as-held", "centralised")
SECTIONS = {"fair": "Each method at its best", "epochs": "The same local epochs for everybody"}


@pytest.fixture(scope="module", params=SECTIONS)
def shown(request, tmp_path_factory):
    """A section of the page, and what `fedfin study report --json` says of its rows."""
    rows = tmp_path_factory.mktemp("rows") / "study.jsonl"
    packed = ROOT / "benchmarks" / "study" / "rows" / f"{request.param}.jsonl.gz"
    rows.write_bytes(gzip.decompress(packed.read_bytes()))
    section = PAGE.partition(f"## {SECTIONS[request.param]}\n")[2].partition("\n## ")[0]
    return section, summarise(read_scores(rows), read_same_recipe(rows))


def test_every_row_of_a_table_is_what_was_measured(shown):
    """Method by method; and there are no others."""
    section, found = shown
    tables = [
        t.splitlines() for t in re.findall(r"(?:^\| *macro.*\n(?:\|.*\n)+)", section, flags=re.MULTILINE)
    ]
    rows = {row for head, _, *rows in tables for row in rows}
    heads = {tuple(head.strip("| ").split(" | ")[1:]) for head, *_ in tables}
    made = [{_row(line, methods) for methods in heads} for line in found["main"]]
    assert [line for line, row in zip(found["main"], made, strict=True) if not row & rows] == []
    assert rows <= set().union(*made)


def _row(line, methods):
    cells = [_cell(line["methods"].get(method)) for method in methods]
    return f"| {line['setting']}, {line['kind']} | {' | '.join(cells)} |"


def _cell(score):
    return "-" if score is None or score["auc"] is None else f"{score['auc']:.1f} ± {score['spread']:.1f}"


def test_the_verdict_is_that_of_the_rows(shown):
    section, found = shown
    verdict = found["verdict"]
    clear = [harm for harm in verdict["harms"] if harm["clear"]]
    for harm in clear:
        where = f"{harm['data']}, {harm['setting']}, {harm['view']}"
        assert f"- {where}: {harm['difference']:+.2f} to {harm['rival']}" in section
    columns = {(harm["data"], harm["setting"], harm["view"]) for harm in clear}
    assert f"**It harms in {len(columns) or 'none'} of {verdict['columns']} columns" in section
    assert not verdict["clear_parts"]


def test_columns_that_harm_by_the_same_recipe_alone_are_named(shown):
    section, found = shown
    for harm in found.get("harmed_by_same_recipe", []):
        where = f"{harm['data']}, {harm['setting']}, {harm['view']}"
        assert f"- {where}: {harm['difference']:+.2f} to {harm['rival']}" in section


def test_every_column_in_which_another_is_ahead_is_listed_with_the_best_and_why(shown):
    """Why, or that it is not known; and no other column is listed."""
    section, found = shown
    best = {}
    for harm in found["verdict"]["behind"]:  # the largest first
        where = f"{harm['data']}, {harm['setting']}, {harm['view']}"
        best.setdefault(where, f"| {where} | {harm['difference']:+.2f} | {harm['rival']} | ")
    listed = section.partition("| the best rival there |")[2].partition("\n\n")[0].splitlines()[2:]
    for row, start in itertools.zip_longest(listed, best.values()):
        assert re.fullmatch(re.escape(start) + r"\S.* \|", row)
    columns = found["verdict"]["all_columns"]
    assert not best or f"in {columns - len(best)} of {columns} columns" in section


def test_the_gains_are_those_of_the_rows(shown):
    section, found = shown
    for gain in found["verdict"]["gains"]:
        (row,) = re.findall(rf"^\| {gain['method']} \| .*$", section, flags=re.MULTILINE)
        assert f"{gain['difference']:+.2f} ± {gain['noise']:.2f}" in row


def test_the_lead_over_the_best_rival_is_that_of_the_rows(shown):
    section, found = shown
    *by_data, overall = found["verdict"]["leads"]
    for name, values in {
        "**the best rival of each column**": [f"{lead['difference']:+.2f}" for lead in by_data],
        "ahead of it, in columns": [f"{lead['ahead']} of {lead['columns']}" for lead in by_data],
    }.items():
        assert f"| {name} | {' | '.join(values)} |\n" in section
    gain, ahead = f"{overall['difference']:+.2f}", overall["ahead"]
    in_words = f"it gains {gain} in the mean of all {overall['columns']} columns, and is ahead in {ahead}"
    assert in_words in " ".join(section.split())


def test_readme_says_what_the_rows_say(shown):
    """Of the mean gains, and of the columns with the same epochs for all."""
    readme = " ".join((ROOT / "README.md").read_text().split())
    _, found = shown
    verdict = found["verdict"]
    gains = {(gain["data"], gain["method"]): f"{gain['difference']:.1f}" for gain in verdict["gains"]}
    if "open-i" not in {data for data, _ in gains}:
        assert f"it harms in none of {verdict['columns']} columns" in readme
        return
    zero = {data: gain for (data, method), gain in gains.items() if method == "zero-fill"}
    assert f"it gains {zero['hancock']} points of macro AUC x 100 over filling zeros" in readme
    assert (
        f"{zero['open-i']} on chest X-rays' findings and indications, {zero['mfeat']} on two views" in readme
    )
    harmed = {(harm["data"], harm["setting"], harm["view"]) for harm in verdict["harms"] if harm["clear"]}
    behind = {(harm["data"], harm["setting"], harm["view"]) for harm in verdict["behind"]}
    assert f"It harms in {len(harmed)} of {verdict['columns']} columns" in readme
    assert f"another method is clearly ahead in {len(behind)}" in readme
    lead = verdict["leads"][-1]
    assert f"{-lead['difference']:.2f} below the best rival of each column in the mean" in readme
    assert f"and ahead in {lead['ahead']} of {lead['columns']}." in readme
    ahead = {-float(gains["uci-heart", method]) for method in ("pattern-ridge", "indicator-logistic")}
    worst = -min(harm["difference"] for harm in verdict["behind"] if harm["data"] == "uci-heart")
    assert f"{ahead.pop()} ahead in the mean and up to {worst:.1f} in one column" in readme
    late = sorted(float(gain) for (_, method), gain in gains.items() if method == "late-logits")
    assert f"{late[0]} to {late[-2]} below in the mean of each set, {late[-1]} on one" in readme


def test_the_distance_to_training_in_one_place_is_taken_apart_as_the_rows_do(tmp_path):
    """Data that no site holds, and ours, data set by data set; and every row of the table."""
    rows = tmp_path / "ladder.jsonl"
    packed = ROOT / "benchmarks" / "study" / "rows" / "ladder.jsonl.gz"
    rows.write_bytes(gzip.decompress(packed.read_bytes()))
    section = PAGE.partition("## Training in one place\n")[2].partition("\n## ")[0]
    for one, other in itertools.combinations(LADDER, 2):
        gains = summarise(read_scores(rows, one))["verdict"]["gains"]
        found = {
            g["data"]: f"{g['difference']:+.2f} ± {g['noise']:.2f}" for g in gains if g["method"] == other
        }
        cells = " | ".join(found[data] for data in ("hancock", "open-i", "covid"))
        assert f"{one} less {other} | {cells} |" in section
    for line in summarise(read_scores(rows, "fedfin"))["main"]:
        cells = " | ".join(_cell(line["methods"][method]) for method in LADDER)
        assert f"| {line['data']}, {line['setting']}, {line['kind']} | {cells} |" in section


def test_what_is_said_of_intervals_is_said_of_the_table():
    """From the least to the most share within 90 %, but for the setting in which no site has both."""
    section = PAGE.partition("## Is what is claimed of imputed features honest?\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| [\w-]+ \| (.*?) \| [\d.]+ \| (\d+)% ", section, flags=re.MULTILINE)
    shares = [int(share) for setting, share in found if setting != "1:1:0"]
    (apart,) = [share for setting, share in found if setting == "1:1:0"]
    assert f"it is {min(shares)} to {max(shares)} %, and {apart} where no site has both (1:1:0)" in section
