"""`report.html` and `report.md`: the answer first, then claims, tables, plots, the machine, and what is not covered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.costs.charts import charts
from benchmarks.costs.claims import Claim, check, read_budgets
from benchmarks.costs.figures import PUBLISHED_ROUNDS, Results, figures
from benchmarks.costs.prices import Prices
from benchmarks.costs.tables import Table, tables
from benchmarks.page import html
from benchmarks.page.document import document
from fedfin.errors import StateError

TITLE = "What FedFIN costs, and what it saves"
CLAIMED = ("claimed", "bound", "measured", "outcome", "how")
REPRODUCE = "fedfin bench all --out fedfin-bench && fedfin bench report fedfin-bench"
NOT_COVERED = (
    "How good rivals are: they are untrained, at their published sizes, since cost does not depend on weights.",
    "How many rounds rivals take until 99 %: as many as our own uncompressed training takes on UCI mfeat is assumed.",
    "Rivals' framing: their bytes are float32 values alone; ours hold everything but Ethernet's own headers.",
    "Bad lines: loopback loses no packet; elsewhere segments are repeated, for everyone alike.",
    "Accelerators for torch: onnxruntime uses what it has a provider for, torch runs on the processor.",
    "Energy of idle machines, cooling and buildings: counted is that of busy cores.",
)


def answer(found: dict[str, float]) -> list[str]:
    """In three sentences, as far as it was measured."""
    sentences = []
    if "until_bytes" in found:
        rounds = f"{found['until_rounds']:.0f} round{'s' if found['until_rounds'] > 1 else ''}"
        sentences.append(
            f"Until the model has 99 % of its final AUC a site moves {found['until_bytes'] / 1e6:.2f} MB"
            f" under secure sums: {found['until_r2gen_ratio']:,.0f} times less than with a federated report generator"
            f" and {found['until_paper_ratio']:,.0f} times less than where encoders train and travel, if these needed"
            f" no more than {rounds}; {found['until_r2gen_published_ratio']:,.0f} and"
            f" {found['until_paper_published_ratio']:,.0f} times less than in the {PUBLISHED_ROUNDS} published."
        )
    if "imputation_multiply_adds_ratio" in found:
        sentences.append(
            f"Imputing a missing modality takes {found['imputation_multiply_adds_ratio']:,.0f} times fewer"
            f" multiply-adds and {found['imputation_time_ratio']:,.0f} times less time than generating it;"
            " with reading and encoding the image, which nobody is spared, an answer takes"
            f" {found['end_to_end_ms']:,.0f} ms instead of {found['end_to_end_r2gen_ms']:,.0f},"
            f" {found['end_to_end_time_ratio']:,.0f} times less."
        )
    if "int8_speed" in found:
        sentences.append(
            f"The int8 encoders are {1 / found['int8_size_share']:.1f} times smaller and"
            f" {found['int8_speed']:.1f} times as fast as float at least,"
            f" with features at a cosine of {found['int8_cosine']:.3f}."
        )
    return sentences


def markdown(results: Results, prices: Prices) -> str:
    """The whole report."""
    found = figures(results)
    parts = [f"# {TITLE}", *answer(found), "## Claims", claims_markdown(check(found, read_budgets()))]
    for table in tables(results, prices):
        parts += [f"## {table.title}", table_markdown(table)]
    parts += ["## System", system_markdown(results), "## Reproduce", f"```\n{REPRODUCE}\n```"]
    parts += ["## What is not covered", _bullets(NOT_COVERED)]
    return "\n\n".join(parts) + "\n"


def claims_markdown(claims: Sequence[Claim]) -> str:
    """As claimed / measured / how."""
    return _table(CLAIMED, _claim_rows(claims))


def table_markdown(table: Table) -> str:
    """With its command and what it is."""
    return f"`{table.command}`\n\n{_table(table.head, table.rows)}\n\n{table.note}"


def _claim_rows(claims: Sequence[Claim]) -> list[list[str]]:
    return [
        [
            c.budget.claim,
            c.budget.bound,
            "-" if c.value is None else f"{c.value:,.4g}" if c.value < 100 else f"{c.value:,.0f}",
            c.outcome,
            c.budget.how,
        ]
        for c in claims
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def system_markdown(results: Results) -> str:
    """The machine of each step."""
    return _bullets(_system(results))


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _system(results: Results) -> list[str]:
    """Of each step's machine, once."""
    lines = []
    for name, result in results.items():
        facts: dict[str, Any] = dict(result["system"])
        mode = "quick" if result["quick"] else "full"
        line = f"{name} ({mode}): {_facts(facts)}"
        lines.append(line)
    return lines


def _facts(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in facts["providers"])
    gpu = f", a GPU that draws {facts['gpu_watts']} W (NVML)" if facts.get("gpu_watts") else ""
    return (
        f"{facts['board'] or facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB,"
        f" load {facts['busy']} at the end; Linux {facts['kernel']}, Python {facts['python']},"
        f" {versions}; providers {providers}{gpu}"
    )


def page(results: Results, prices: Prices) -> str:
    """The same as one file of HTML. Raises ModuleNotFoundError without matplotlib."""
    found = figures(results)
    claims = check(found, read_budgets())
    plots = charts(results)
    parts = [html.section("claims", "Claims", _claims_html(claims))]
    for table in tables(results, prices):
        plot = html.figure(plots[table.key]) if table.key in plots else ""
        body = html.table(table.head, [_cells(row, table.names) for row in table.rows], names=table.names)
        parts.append(
            html.section(
                table.key, table.title, plot, body, html.paragraph(table.note), html.command(table.command)
            )
        )
    parts += [
        html.section("system", "System", html.bullets(_system(results))),
        html.section("reproduce", "Reproduce", html.command(REPRODUCE)),
        html.section("gaps", "What is not covered", html.bullets(NOT_COVERED)),
    ]
    broken = any(claim.outcome == "broken" for claim in claims)
    whole = all(claim.value is not None for claim in claims)
    verdict = "".join(html.paragraph(sentence) for sentence in answer(found))
    kind = "bad" if broken else "good" if whole else ""
    return document(
        TITLE,
        "Bytes, multiply-adds, time, memory and money; each table with the command that makes it.",
        parts,
        verdict=f'<div class="verdict {kind}">{verdict}</div>' if verdict else "",
    )


def _cells(row: Sequence[str], names: int) -> list[html.Cell | str]:
    """The first ones name the row."""
    return [*row[:names], *(html.Cell(text) for text in row[names:])]


def _claims_html(claims: Sequence[Claim]) -> str:
    rows: list[list[html.Cell | str]] = [
        [
            html.Cell(claim, kind="text"),
            bound,
            measured,
            html.Cell(outcome, bold=outcome != "holds"),
            html.Cell(how, kind="text"),
        ]
        for claim, bound, measured, outcome, how in _claim_rows(claims)
    ]
    return html.table(CLAIMED, rows, names=0)


def write(results: Results, prices: Prices, folder: Path) -> list[Path]:
    """Both files. Raises StateError when they cannot be written."""
    made = []
    try:
        for name, text in (("report.md", markdown(results, prices)), ("report.html", page(results, prices))):
            (folder / name).write_text(text, encoding="utf-8")
            made.append(folder / name)
    except OSError as error:
        raise StateError(
            f"{folder}: cannot write the report ({error.strerror}); give another --out"
        ) from None
    return made
