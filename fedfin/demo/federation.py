"""One of the demo's federations: a broker's URL, an aggregator process and a process per site."""

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedfin.demo.admission import admit
from fedfin.demo.processes import Processes, run_command
from fedfin.demo.stages import FEDERATION
from fedfin.model.plan_file import plan_toml
from fedfin.plain_text import plain_text
from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round


class Board:
    """What is going on, per federation and per site: bars with ETA on a terminal, else a line per round."""

    def __init__(self, console: Console, title: str, rounds: int, sites: list[str]) -> None:
        self._console, self._title, self._rounds = console, title, rounds
        self._lock = threading.Lock()  # each process is read by its own thread
        self._progress = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._all = self._progress.add_task(title, total=rounds, note="")
        self._sites: dict[str, TaskID] = {
            name: self._progress.add_task(f"  {name}", total=rounds, note="starting") for name in sites
        }
        self._started, self._closed = time.monotonic(), False
        self.costs: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> "Board":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def aggregator(self, event: str, facts: dict[str, Any]) -> None:
        """An event of the aggregator's process."""
        with self._lock:
            if event == "closed":
                self._closed = True
                self._progress.update(self._all, completed=facts["round"], note=_loss(facts))
                if not self._console.is_terminal:
                    self._say(facts)
            elif event == "bad-message" or (event == "update" and not facts["accepted"]):
                # The last words of the federation before, which has no keys.
                before = not self._closed and facts["reason"].startswith("it is not signed")
                note = "; left over from the federation before, and ignored" if before else ""
                self._console.print(f"  {facts['site']}: {plain_text(facts['reason'])}{note}", markup=False)

    def site(self, name: str, event: str, facts: dict[str, Any]) -> None:
        """An event of a site's process."""
        with self._lock:
            task = self._sites[name]
            if event == "round":
                self._progress.update(task, note=facts["task"])
            elif event == "progress":
                self._progress.update(task, note=f"working {facts['share']:.0%}")
            elif event == "received":
                self._progress.update(task, completed=facts["round"], note="waiting")
            elif event == "finished":
                self._progress.update(task, note="finished")
            elif event == "costs":
                self.costs[name] = facts

    def _say(self, facts: dict[str, Any]) -> None:
        done, spent = int(facts["round"]), time.monotonic() - self._started
        eta = spent / done * (self._rounds - done)
        self._console.print(
            f"  {self._title}: round {done}/{self._rounds}, {facts['sites']:.0f} sites,"
            f" {spent:.0f} s, ETA {eta:.0f} s {_loss(facts)}",
            highlight=False,
        )


def _loss(facts: dict[str, Any]) -> str:
    return f"loss {facts['label_loss']:.3f}" if "label_loss" in facts else ""


def train(
    plan: Plan,
    name: str,
    sites: list[str],
    broker: str,
    folder: Path,
    console: Console,
    *,
    keep_deltas: Path | None,
) -> dict[str, Any]:
    """Run one federation to its end and export its model; rounds, costs and seconds.

    An interrupted one goes on in the round where it stopped: aggregator and sites keep their state.
    """
    keep = [] if keep_deltas is None else ["--keep-deltas", str(keep_deltas)]
    aggregator = folder / "aggregators" / name
    if not (aggregator / "journal.sqlite").exists():
        aggregator.parent.mkdir(exist_ok=True)
        plan_file = folder / f"plan-{name}.toml"
        plan_file.write_text(plan_toml(plan), encoding="utf-8")
        run_command(["aggregator", "init", str(plan_file), str(aggregator)], "setting up the aggregator")
    keys = ["--no-keys"]
    if plan.privacy.summed:
        admit(plan, aggregator, {site: folder / "sites" / site for site in sites})
        keys = []
    started = time.monotonic()
    with (
        Board(console, name, last_round(plan), sites) as board,
        Processes(folder / "logs" / name) as processes,
    ):
        processes.start(
            "aggregator",
            ["fedfin", "aggregator", "serve", str(aggregator), "--broker", broker, "--json", *keys],
            board.aggregator,
        )
        for site in sites:
            processes.start(
                site,
                ["fedfin", "edge", "run", str(folder / "sites" / site), "--json", *keys, *keep],
                partial(board.site, site),
            )
        processes.wait(["aggregator", *sites])
    seconds = time.monotonic() - started
    model = folder / "models" / name
    export = ["export", "model", str(aggregator / "final.fedfin"), str(model), "--force"]
    run_command(export, "exporting the model")
    shown = run_command(["aggregator", "show", str(aggregator), "--json"], "reading the results")
    return {
        "federation": FEDERATION,
        "plan": plan.digest(),
        "seconds": seconds,
        "sites": board.costs,
        "rounds": shown["rounds"],
        "pooled": shown["final"],
        "model": str(model),
    }
