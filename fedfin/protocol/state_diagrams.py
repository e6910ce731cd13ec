"""State diagrams from the machines' LEGAL tables: `python -m fedfin.protocol.state_diagrams` prints them as mermaid."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from fedfin.protocol.rounds import states as round_states
from fedfin.protocol.shards import states as shard_states
from fedfin.protocol.site import states as site_states

S = TypeVar("S", bound=Enum)


def diagram(legal: Mapping[S, Mapping[type, tuple[S, ...]]]) -> str:
    """The table as a mermaid state diagram; events that only keep a state are left out."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in legal.items():
        for event, targets in row.items():
            for target in targets:
                if target is not state:
                    arrows.setdefault((state.value, target.value), []).append(event.__name__)
    first, *_ = legal
    ends = [state.value for state, row in legal.items() if all(t == (state,) for t in row.values())]
    lines = ["stateDiagram-v2", f"    [*] --> {first.value}"]
    lines += [f"    {a} --> {b}: {', '.join(names)}" for (a, b), names in arrows.items()]
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join(lines)


def diagrams() -> str:
    """All machines' diagrams as they stand in docs/protocol.md."""
    tables = {
        "A site": diagram(site_states.LEGAL),
        "The aggregator": diagram(round_states.LEGAL),
        "A shard": diagram(shard_states.LEGAL),
    }
    return "\n\n".join(f"### {title}\n\n```mermaid\n{text}\n```" for title, text in tables.items())


if __name__ == "__main__":
    print(diagrams())
