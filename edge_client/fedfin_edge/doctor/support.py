"""What the developers need to help a site, and nothing of a patient: one text, which people read before it is written.

What is taken is listed here, never what is left out: a key, a file or an event that comes later is not in it before
somebody has looked at it.
"""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fedfin.broker.check.finding import Finding, in_words
from fedfin.errors import FedfinError, SettingsError
from fedfin.files import why
from fedfin.plain_text import plain_lines
from fedfin.trust.audit_log import AUDIT, read_audit
from fedfin_edge.agent.overview import overview
from fedfin_edge.doctor.versions import installed
from fedfin_edge.site import ANSWERS, APPROVALS, COUNTS, FEATURES, SETTINGS, STATE, Site, open_site

TAIL = 200  # lines of a log
LEFT_OUT = "(left out)"
# Texts of site.toml that say nothing of a person, a password, or where things are in the hospital.
_TEXTS = frozenset(
    {"site", "federation", "broker", "case", "patient", "split", "column", "labels", "plan", "until", "tasks"}
    | {"modality", "dicom_modality", "body_part", "view_position", "sop_class", "reports"}
)
_FILES = (SETTINGS, FEATURES, ANSWERS, APPROVALS, COUNTS)
_STATE_SUFFIXES = (".json", ".msgpack", ".fedfin")


def support_text(folder: Path, findings: list[Finding], logs: Sequence[Path]) -> str:
    """All of it. `findings`: the doctor's. `logs`: of `run` and `intake`.

    Of settings that cannot be read it has what is wrong with them: that may be what help is needed for.
    """
    doctor = "\n".join(map(in_words, findings))
    try:
        site = open_site(folder)
    except SettingsError as error:
        sections = {"versions": _versions(), "settings": str(error), "doctor": doctor}
    else:
        sections = {
            "versions": _versions(),
            "settings": json.dumps(_reduced(msgspec.to_builtins(site.settings)), indent=2),
            "doctor": doctor,
            "status": _status(site),
            "files": "\n".join(_files(site)),
            f"the last {TAIL} lines of the audit log": "\n".join(_audit_tail(site)),
        }
    sections |= {
        f"the last {TAIL} lines of log {number}": "\n".join(_log_tail(log))
        for number, log in enumerate(logs, 1)
    } or {"log": "none was named (--log)"}
    return plain_lines("".join(f"=== {title}\n{text}\n\n" for title, text in sections.items()))


def _versions() -> str:
    known = {"python": platform.python_version(), "system": platform.platform()} | installed()
    return "\n".join(f"{name} {number or 'is not installed'}" for name, number in known.items())


def _reduced(value: Any, key: str = "") -> Any:
    """Numbers and switches as they are, texts of the keys above; below `modalities` names are keys."""
    match value:
        case dict():
            return {name: _reduced(each, name) for name, each in value.items()}
        case list() | tuple():
            return [_reduced(each, key) for each in value]
        case str():
            return value if key in _TEXTS else LEFT_OUT
        case _:
            return value


def _status(site: Site) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(overview(site))).decode()
    except FedfinError as error:
        return str(error)


def _files(site: Site) -> Iterator[str]:
    """Bytes of what FedFIN makes, by name; of what else is there only how much."""
    ours = [site.folder / name for name in _FILES if (site.folder / name).is_file()]
    state = [path for path in sorted(site.state_path.glob("*")) if path.suffix in _STATE_SUFFIXES]
    for path in ours + state:
        yield f"{path.relative_to(site.folder)}: {path.stat().st_size:,} bytes"
    others = [path for path in site.folder.iterdir() if path not in ours and path.name != STATE]
    yield f"and {len(others)} others"


def _audit_tail(site: Site) -> Iterator[str]:
    """Rounds, sizes, digests: it never holds more (docs/events.md)."""
    try:
        entries = list(read_audit(site.trust_path / AUDIT))
    except FedfinError as error:
        yield str(error)
        return
    for entry in entries[-TAIL:]:
        yield f"{entry.time} {entry.event} {_facts(entry.facts)}"


def _log_tail(log: Path) -> Iterator[str]:
    """Events alone: what else a log holds, nobody knows."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
    except OSError as error:
        yield f"cannot be read ({why(error)})"
        return
    others = 0
    for line in lines:
        event = _event(line)
        if event is None:
            others += 1
        else:
            yield f"{event.pop('time', '')} {event.pop('event')} {_facts(event)}"
    yield f"and {others} lines that are no events"


def _event(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None


def _facts(facts: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in facts.items())
