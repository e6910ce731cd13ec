"""Pieces of a page: tables and sections, with everything escaped that comes from files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """`bold` text with smaller lines below, in classes of the page's style."""

    text: str
    small: tuple[str, ...] = ()
    bold: bool = False
    kind: str = ""

    def html(self) -> str:
        """As a table's cell."""
        text = f"<b>{escape(self.text)}</b>" if self.bold else escape(self.text)
        small = "".join(f"<small>{escape(line)}</small>" for line in self.small)
        return f'<td class="{self.kind}">{text}{small}</td>' if self.kind else f"<td>{text}{small}</td>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    caption: str = "",
    names: int = 1,
    ours: str = "",
    dense: bool = False,
) -> str:
    """The first `names` columns name the row; the column called `ours` is set off; `dense`: heads stand upright."""
    titles = [
        f'<th class="{"name" if place < names else "ours" if title == ours else ""}"><span>{escape(title)}</span></th>'
        for place, title in enumerate(head)
    ]
    lines, former = [], ""
    for row in rows:
        first = str(row[0])
        opens = names > 1 and first != former and former
        lines.append(_row(row, names, opens=bool(opens), repeated=names > 1 and first == former))
        former = first
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table class="{"dense" if dense else ""}">{title}<thead><tr>{"".join(titles)}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _row(row: Sequence[Cell | str], names: int, *, opens: bool, repeated: bool) -> str:
    cells = []
    for place, cell in enumerate(row):
        if place < names:
            shown = "" if place == 0 and repeated else escape(str(cell))
            cells.append(f'<th class="name">{shown}</th>')
        else:
            cells.append((cell if isinstance(cell, Cell) else Cell(cell)).html())
    return f'<tr class="{"first" if opens else ""}">{"".join(cells)}</tr>'


def section(identity: str, title: str, *parts: str) -> str:
    """A heading with what follows; an empty string where nothing does."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{identity}"><h2>{escape(title)}</h2>\n{body}</section>' if body else ""


def paragraph(text: str, kind: str = "") -> str:
    """Plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def beside(parts: Iterable[tuple[str, str]]) -> str:
    """Tables under small headings, as many beside each other as fit."""
    found = "".join(f"<div>{heading(title)}{body}</div>" for title, body in parts)
    return f'<div class="side">{found}</div>' if found else ""


def heading(text: str) -> str:
    """Within a section."""
    return f"<h3>{escape(text)}</h3>"


def figure(svg: str) -> str:
    """A plot."""
    return f"<figure>{svg}</figure>"


def folded(summary: str, body: str) -> str:
    """What is shown on demand."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def bullets(lines: Iterable[str]) -> str:
    """A list; empty where there is nothing."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def command(line: str) -> str:
    """What a reader types."""
    return f"<p><code>{escape(line)}</code></p>"
