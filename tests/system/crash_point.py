"""Run the `fedfin` command, and SIGKILL it, or the broker, or both, at one exact point of the protocol.

    python crash_point.py POINT VICTIM MARK fedfin-words...

The process is the real one; only the function at which the point lies is wrapped. `MARK` is a file that appears at
the kill: it strikes once, however often the command is started again.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

BROKER_PID = "broker.pid"  # beside the mark


@dataclass(frozen=True)
class Point:
    """Before or after the `nth` call of `function` of which `of` holds."""

    function: str
    when: str
    nth: int = 1
    of: Callable[..., bool] = lambda *_, **__: True


def _publishes(kind: str, topic: str = "") -> Callable[..., bool]:
    """Whether a publish carries a message of this kind to a topic with this text in it."""

    def of(_link: Any, where: str, payload: bytes, **_: Any) -> bool:
        return topic in where and bool(payload) and msgspec.msgpack.decode(payload)["kind"] == kind

    return of


PUBLISH = "fedfin.link.mqtt.Link.publish"
STATE = "fedfin_edge.agent.state.AgentState"
JOURNAL = "fedfin_aggregator.store.journal.Journal"
SITE = {
    "joining": Point(PUBLISH, "after", of=_publishes("hello")),
    "model fetched, not kept": Point("fedfin_edge.agent.global_model.GlobalModelFile.assemble", "before", 2),
    "model kept": Point("fedfin_edge.agent.global_model.GlobalModelFile.assemble", "after", 2),
    "working": Point("fedfin_edge.agent.worker.make_update", "before", 2),
    "computed, not saved": Point(f"{STATE}.put_update", "before", 2),
    "saved, not offered": Point(f"{STATE}.put_update", "after", 2),
    "offered": Point(PUBLISH, "after", 2, _publishes("begin")),
    "half sent": Point(PUBLISH, "after", 2, _publishes("chunk")),
    "answered, not settled": Point(f"{STATE}.settle", "before", 2),
    "half settled": Point(f"{STATE}._owe", "after", 2),
    "settled": Point(f"{STATE}.settle", "after", 2),
    "finishing": Point("fedfin_edge.agent.agent.write_model", "before"),
}
AGGREGATOR = {
    "starting": Point(PUBLISH, "before", of=_publishes("roundmanifest")),
    "welcoming": Point(PUBLISH, "after", 2, _publishes("welcome")),
    "collecting": Point(PUBLISH, "after", 3, _publishes("missing")),
    "complete, not folded": Point("fedfin_aggregator.rounds.rounds.Rounds.judge", "before", 3),
    "folded, not durable": Point("fedfin_aggregator.rounds.rounds.Rounds.judge", "after", 3),
    "durable, not answered": Point(PUBLISH, "before", 3, _publishes("receipt")),
    "answered": Point(PUBLISH, "after", 3, _publishes("receipt")),
    "closing": Point(f"{JOURNAL}.close_round", "before", 2),
    "closed, not published": Point(f"{JOURNAL}.close_round", "after", 2),
    "half published": Point(PUBLISH, "after", 3, _publishes("chunk", "/global/")),
    "published": Point(PUBLISH, "after", 3, _publishes("roundmanifest", "/global/manifest")),
    "finished": Point(f"{JOURNAL}.close_round", "after", 4),
}
MEMBER = "fedfin.secure_sums.member.Member"
SUMS = "fedfin_aggregator.rounds.secure_rounds.SecureRounds"
SUMMING_SITE = {  # with secure sums
    "ready, not saved": Point(f"{STATE}.put_update", "before", 2),
    "ready, not written down": Point("fedfin_edge.agent.answers.Answers.record", "before", 2),
    "dealt": Point(f"{MEMBER}.deal", "after", 2),
    "masked": Point(f"{MEMBER}.mask", "after", 2),
    "signed, not sent": Point(f"{MEMBER}.consent", "after", 2),
    "about to reveal": Point(f"{MEMBER}.reveal", "before", 2),
    "revealed, not sent": Point(f"{MEMBER}.reveal", "after", 2),
}
SUMMING_AGGREGATOR = {
    "cohort named": Point(f"{SUMS}.begin_sum", "after", 2),
    "survivors named": Point(f"{SUMS}.fix_sum", "after", 2),
    "about to keep": Point(f"{SUMS}.keep_sum", "before", 2),
    "kept, not asked": Point(f"{SUMS}.keep_sum", "after", 2),
    "about to open": Point(f"{SUMS}.open_sum", "before", 2),
    "opened, not told": Point(f"{SUMS}.open_sum", "after", 2),
}
POINTS = SITE | AGGREGATOR | SUMMING_SITE | SUMMING_AGGREGATOR


def _arm(point: Point, strike: Callable[[], None]) -> None:
    owner_name, _, name = point.function.rpartition(".")
    try:
        owner: Any = importlib.import_module(owner_name)
    except ModuleNotFoundError:
        module, _, class_ = owner_name.rpartition(".")
        owner = getattr(importlib.import_module(module), class_)
    real, left = getattr(owner, name), point.nth

    def wrapped(*args: Any, **how: Any) -> Any:
        nonlocal left
        left -= point.of(*args, **how)
        due = left == 0
        if due and point.when == "before":
            strike()
        result = real(*args, **how)
        if due and point.when == "after":
            strike()
        left -= due
        return result

    setattr(owner, name, wrapped)


def _strike(victim: str, mark: Path) -> None:
    if mark.exists():
        return
    mark.touch()
    if victim != "process":
        os.kill(int((mark.parent / BROKER_PID).read_text()), signal.SIGKILL)
    if victim != "broker":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    point_, victim_, mark_, *words = sys.argv[1:]
    _arm(POINTS[point_], lambda: _strike(victim_, Path(mark_)))
    from fedfin.command_line.main import main

    sys.exit(main(words))
