"""docs/plan.md says what the code says."""

from pathlib import Path

import msgspec
import pytest

from fedfin.limits import SUMMED_ROUNDS
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Model, Privacy, Rounds, Stage, Training

DOC = (Path(__file__).parents[2] / "docs" / "plan.md").read_text()
SECTIONS = {
    "# The plan": Plan,
    "## `[[modalities]]`": Modality,
    "## `[privacy]`": Privacy,
    "## `[model]`": Model,
    "## `[training]`": Training,
    "## `[rounds]`": Rounds,
    "## `[codec]`": Codec,
    "A `[[codec.schedule]]`": Stage,
}


def _section(title: str) -> str:
    return DOC[DOC.index(title) :].partition("\n\n## ")[0]


@pytest.mark.parametrize(("title", "kind"), SECTIONS.items())
def test_every_key_stands_in_its_section_with_its_default(title: str, kind: type) -> None:
    """So that a plan can be written from the page alone."""
    section = _section(title)
    for field in msgspec.structs.fields(kind):
        if isinstance(field.default, msgspec.Struct) or field.encode_name == "modalities":
            continue  # a section of its own
        default = "required" if field.required else _shown(field.default)
        assert f"| `{field.encode_name}` | {default} |" in section, field.encode_name


def test_the_page_says_how_many_rounds_are_drafted_with_secure_sums() -> None:
    """As many as the limit allows."""
    assert f"of which `aggregator draft` writes {SUMMED_ROUNDS} with secure sums" in DOC


def _shown(value: object) -> str:
    if value is msgspec.UNSET:
        return "unset"
    if isinstance(value, str):
        return f'`"{value}"`'
    return "none" if value == () else str(value)
