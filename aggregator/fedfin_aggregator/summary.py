"""What a federation came to, as a table or as JSON."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from fedfin import limits
from fedfin.declines import CAUSES
from fedfin.model.model_spec import SCENARIOS_MEAN, scenarios
from fedfin.plan import Plan
from fedfin.protocol.rounds.cohort_choice import no_cohort
from fedfin_aggregator.rounds.update_checks import (
    DROPPED,
    LEFT_OUT,
    ROLLED_BACK,
    SUPPRESSED,
    WITHHELD,
    WITHOUT_SUM,
)
from fedfin_aggregator.store.journal import Journal, RoundRow
from fedfin_aggregator.store.update_records import PartRow
from fedfin_aggregator.training_end import training_end

AUC, CASES, LABELS = "auc.", "cases.", "labels."
LOSSES = {"label loss": "label_loss", "FIN loss": "fin_loss"}  # column -> what a training site sends


def summary(journal: Journal, enrolled: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The plan's names, every round with its results, and the final metrics (None before the end).

    `silent`: sites that let a deadline pass, and are not waited for until they offer an update again. `sites`: how many
    updates of each were accepted and refused, and why the last of those was refused; also of the `enrolled` that gave
    none. `waiting`: for whom the open round waits, since when. `training_end`: None before it.
    """
    rounds = journal.rounds()
    last = rounds[-1] if rounds else None
    final = last.results if last is not None and last.closed is not None and last.task == "evaluate" else None
    return {
        "federation": journal.plan.federation,
        "plan": journal.plan.digest(),
        "version": journal.versions.newest(),
        "sites": {
            site: asdict(part)
            for site, part in sorted((dict.fromkeys(enrolled, PartRow()) | journal.updates.parts()).items())
        },
        "declined": {
            site: {"round": round_, "reason": CAUSES[cause]}
            for site, (round_, cause) in journal.declined().items()
        },
        "outliers": {site: asdict(row) for site, row in journal.outliers.all().items()},
        "waiting": _waiting(journal, enrolled),
        "silent": [site for site, silent in journal.roster().items() if silent],
        "rounds": [
            {
                **row.results,  # first: a site's metric must not pose as one of the facts below
                "round": row.round,
                "task": row.task,
                "version": row.version,
                "closed": row.closed is not None,
                "seconds": row.closed - row.opened if row.closed is not None else None,
                "no_sum": _no_sum(journal, row),
            }
            for row in rounds
        ],
        "training_end": _training_end(journal),
        "final": final,
    }


def _training_end(journal: Journal) -> dict[str, Any] | None:
    """Its facts, and whether it was early; None before."""
    end = training_end(journal)
    return None if end is None else asdict(end) | {"converged": end.converged}


def _waiting(journal: Journal, enrolled: frozenset[str]) -> dict[str, Any] | None:
    """The round that is open, since when (seconds since the epoch), and who has not answered it."""
    rounds = journal.rounds()
    if not rounds or rounds[-1].closed is not None:
        return None
    known = enrolled | journal.roster().keys() | journal.updates.parts().keys()
    answered = journal.updates.receipts(rounds[-1].round).keys() | journal.declined().keys()
    return {"round": rounds[-1].round, "since": rounds[-1].opened, "sites": sorted(known - answered)}


def print_summary(journal: Journal, console: Console, enrolled: frozenset[str] = frozenset()) -> None:
    """The rounds, then the final metrics."""
    facts = summary(journal, enrolled)
    console.print(_rounds(facts))
    for line in _notes(facts):
        console.print(line)
    if end := training_end(journal):
        console.print(str(end))
    if journal.role.startswith("shard"):
        console.print(f"this is {journal.role}: its own sites' part; the models and metrics are the root's")
        return
    if facts["final"] is None:
        console.print("not finished: the last round evaluates the final model")
        return
    console.print(_final(journal.plan, facts["final"]))
    console.print(f"the final model is version {facts['version']}")


def _no_sum(journal: Journal, row: RoundRow) -> str | None:
    """Why a round with secure sums was closed without any; None: it was not."""
    if not journal.plan.privacy.summed or row.closed is None:
        return None
    for reason, result in WITHOUT_SUM.items():
        if row.results.get(result):
            return reason
    updates = journal.updates.counted(row.round)
    if any(update.accepted for update in updates):
        return None
    return updates[0].reason if updates else no_cohort(journal.plan, row.round)


def _notes(facts: dict[str, Any]) -> Iterator[str]:
    """What is not as it should be, of rounds and of sites."""
    for row in facts["rounds"]:
        if row.get(DROPPED):
            yield f"round {row['round']}: its second moments were of too many cases and are not in the model"
        if row.get(LEFT_OUT):
            yield (
                f"round {row['round']}: second moments of {row[LEFT_OUT]:.0f} sites have no solution and are not in"
                " the model"
            )
        if (better := row.get(ROLLED_BACK)) is not None:
            yield (
                f"round {row['round']}: version {row['version']} answers validation cases worse than version"
                f" {better:.0f}, from which the next round went on; neither it nor this round's updates are in the"
                " model"
            )
        yield from _not_summed(row)
        if row["no_sum"]:
            yield f"round {row['round']} closed without a sum: {row['no_sum']}"
    yield from _absent(facts["sites"])
    for site, declined in facts["declined"].items():
        yield f"{site} took no part in round {declined['round']}: {declined['reason']}"
    yield from _outlying(facts["outliers"])
    if waiting := facts["waiting"]:
        since = dt.datetime.fromtimestamp(waiting["since"], dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        sites = ", ".join(waiting["sites"]) or "sites that it does not know yet"
        yield f"round {waiting['round']} is open since {since}; no update yet of: {sites}"
    if facts["silent"]:
        yield f"not waited for until they send an update again: {', '.join(facts['silent'])}"


def _not_summed(row: dict[str, Any]) -> Iterator[str]:
    """What sites have that a round's sum is without."""
    for prefix, why in _NOT_SUMMED.items():
        if found := [key.removeprefix(prefix) for key in row if key.startswith(prefix)]:
            yield f"round {row['round']}: {why}: {'; '.join(found)}"


_NOT_SUMMED = {
    WITHHELD: "too few sites have this, and it is in no sum",
    SUPPRESSED: "suppressed, as too few patients of all sites have one of the two answers",
}
_STANDINGS = {
    "left out": "left out until `fedfin aggregator include`",
    "asked": "the round waits for `fedfin aggregator include` or `leave-out`",
    "named": "in the model, and conspicuous",
    "included": "in the model by the coordinator's word",
}


def _outlying(outliers: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Whose statistics are unlike the others'."""
    for site, row in outliers.items():
        why = f": {row['evidence']}" if row["evidence"] else ""
        yield f"{site}: {_STANDINGS[row['standing']]}, since round {row['round']}{why}"


def _absent(sites: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Who is not in the model, or not in all of it."""
    if never := [site for site, part in sites.items() if not part["accepted"] and not part["refused"]]:
        yield f"in the charter, and never took part: {', '.join(never)}"
    for site, part in sites.items():
        if part["refused"]:
            counts = f"{part['refused']} updates refused, {part['accepted']} accepted"
            yield f"{site}: {counts}; the last refusal: {part['reason']}"


def _rounds(facts: dict[str, Any]) -> Table:
    version = "" if facts["version"] is None else f", model version {facts['version']}"
    table = Table(title=f"federation {facts['federation']}{version}")
    losses = {
        name: metric for name, metric in LOSSES.items() if any(metric in row for row in facts["rounds"])
    }
    for column in ("round", "task", "sites", "seconds", *losses, "KB up"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for row in facts["rounds"]:
        table.add_row(
            str(row["round"]),
            row["task"],
            _number(row.get("sites"), 0) + (f" ({row['late']:.0f} late)" if row.get("late") else ""),
            _number(row["seconds"], 1),
            *(_number(row.get(metric), 4) for metric in losses.values()),
            _number(row.get("bytes"), 0, 1e-3),
        )
    return table


def _final(plan: Plan, results: dict[str, float]) -> Table:
    final = Table(
        title="final model on the sites' held-out cases (pooled histograms)",
        caption=f"{SCENARIOS_MEAN}. Sites give nothing of fewer patients than their floor (cases.held_out)",
    )
    for column in ("shown", "cases", "labels", "macro AUC x 100"):
        final.add_column(column, justify="left" if column == "shown" else "right")
    for scenario in sorted(scenarios(plan)):  # never by the results' names: sites name metrics freely
        final.add_row(scenario, *_scored(plan, results, scenario))
    return final


def _scored(plan: Plan, results: dict[str, float], scenario: str) -> tuple[str, str, str]:
    """Of one: cases, over how many labels, and AUC."""
    cases, auc = results.get(CASES + scenario, 0.0), results.get(AUC + scenario)
    if cases < limits.LEAST_CASES:
        return f"fewer than {limits.LEAST_CASES} given", "-", "suppressed"
    suppressed = any(key.startswith(SUPPRESSED) for key in results)
    count = results.get(
        LABELS + scenario, None if auc is not None else 0.0
    )  # versions from before did not count
    labels = "-" if count is None else f"{count:.0f} of {len(plan.labels)}"
    return f"{cases:.0f}", labels, "suppressed" if auc is None and suppressed else _number(auc, 1, 100.0)


def _number(value: float | None, digits: int, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.{digits}f}"
