"""One page with everything in it, to be sent or kept as it is."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

TEMPLATE = Path(__file__).with_name("page.html")


def document(
    title: str, subtitle: str, sections: Sequence[str], *, tiles: str = "", verdict: str = ""
) -> str:
    """The whole of it; sections are HTML of `html.section`, empty ones are left out."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        tiles=tiles,
        verdict=verdict,
        contents=_contents(sections),
        sections="\n".join(part for part in sections if part),
    )


def _contents(parts: Sequence[str]) -> str:
    found = [re.search(r'<section id="(.*?)"><h2>(.*?)</h2>', part) for part in parts]
    return "".join(f'<a href="#{match[1]}">{match[2]}</a>' for match in found if match)
