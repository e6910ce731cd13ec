"""A check: what it is called, what it asks, and what must be well before it can be asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedfin.broker.check.finding import Finding
from fedfin_edge.site import Site

Asked = Callable[[Site], Iterator[Finding]]


@dataclass(frozen=True)
class MachineCheck:
    """Of the machine, for a site in this folder; `exit_code`: of the command, if this fails first."""

    name: str
    ask: Callable[[Path], Iterator[Finding]]
    exit_code: int


@dataclass(frozen=True)
class Check:
    """Of a site, once its settings can be read. `needs`: the names of checks that must not have failed."""

    name: str
    ask: Asked
    exit_code: int
    needs: tuple[str, ...] = ()
