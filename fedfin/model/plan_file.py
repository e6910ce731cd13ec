"""A plan file: read, checked and measured; and written."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from fedfin.errors import SettingsError
from fedfin.model.plan_size import check_size
from fedfin.plan import Plan
from fedfin.plan_sections import Privacy
from fedfin.settings import read_toml


def read_plan(path: Path) -> Plan:
    """Read and check a plan file.

    Raises SettingsError, naming the file, the key and the remedy.
    """
    plan = read_toml(path, Plan, what="plan")
    try:
        check_size(plan)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
    return plan


def plan_toml(plan: Plan) -> str:
    """The plan as the TOML that `read_plan` reads."""
    lines = [f"{key} = {_toml(getattr(plan, key))}" for key in ("federation", "labels", "seed")]
    for modality in plan.modalities:
        lines += ["", "[[modalities]]", *_pairs(modality)]
    for section in ("privacy", "model", "training", "rounds", "codec"):
        part = getattr(plan, section)
        lines += ["", f"[{section}]", *_pairs(part, _without_noise(plan) if section == "privacy" else ())]
    for stage in plan.codec.schedule:
        lines += ["", "[[codec.schedule]]", *_pairs(stage)]
    return "\n".join(lines) + "\n"


def _without_noise(plan: Plan) -> list[str]:
    """What is of noise, as it is where nobody says so: where there is none it would promise what is not there."""
    usual = Privacy()
    same = [key for key in ("epsilon", "delta") if getattr(plan.privacy, key) == getattr(usual, key)]
    return [] if plan.privacy.noised else same


def _pairs(part: msgspec.Struct, unsaid: Collection[str] = ()) -> list[str]:
    """`key = value` of everything but the schedule, which TOML writes as tables of its own."""
    fields = zip(part.__struct_encode_fields__, part.__struct_fields__, strict=True)
    values = {key: getattr(part, field) for key, field in fields if field != "schedule"}
    return [
        f"{key} = {_toml(value)}"
        for key, value in values.items()
        if value is not msgspec.UNSET and key not in unsaid
    ]


def _toml(value: object) -> str:
    # Of TOML's values a plan holds strings, numbers and lists of strings, which are written as in JSON;
    # but TOML wants DEL escaped, too.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
