"""The audit log: what was written stays as it was, or the first line that does not follow is named."""

from pathlib import Path

import pytest

from fedfin.command_line.main import main
from fedfin.errors import StateError
from fedfin.trust.accepted import TRUST
from fedfin.trust.audit_log import AUDIT, AuditLog, audited, read_audit


def written(path: Path, count: int = 5) -> AuditLog:
    """A log with some entries."""
    log = AuditLog(path)
    for number in range(count):
        log.add("sending", {"round": number, "bytes": 100})
    return log


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """With the next number, on the same chain."""
    written(tmp_path / "log", 2)
    written(tmp_path / "log", 3)
    assert [entry.n for entry in read_audit(tmp_path / "log")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("change", ["edit", "remove", "swap", "insert", "garbage"])
def test_a_change_in_the_middle_is_found_and_its_line_named(change: str, tmp_path: Path) -> None:
    """The lines above it are given; an appender refuses to cover it up."""
    path = tmp_path / "log"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    match change:
        case "edit":
            lines[2] = lines[2].replace(b'"bytes":100', b'"bytes":999')
        case "remove":
            del lines[2]
        case "swap":
            lines[2:4] = lines[3], lines[2]
        case "insert":
            lines.insert(2, lines[1])
        case _:
            lines[2] = b"\xff\n"
    path.write_bytes(b"".join(lines))
    seen = []
    with pytest.raises(StateError, match="line 3"):
        seen.extend(entry.n for entry in read_audit(path))  # what was read before stays read
    with pytest.raises(StateError, match="line 3"):
        AuditLog(path)


def test_a_line_that_a_crash_cut_is_dropped(tmp_path: Path) -> None:
    """Wherever it was cut: it was never whole, and nothing followed from it."""
    path = tmp_path / "log"
    written(path, 3)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for cut in range(start, len(whole), 20):
        path.write_bytes(whole[:cut])
        AuditLog(path).add("start", {})
        assert [entry.event for entry in read_audit(path)] == ["sending", "sending", "start"]


def test_it_is_written_before_anybody_hears_of_it(tmp_path: Path) -> None:
    """And holds only the events that belong in it."""
    path, heard = tmp_path / "log", []
    report = audited(
        lambda event, facts: heard.append((event, path.exists())), AuditLog(path), {"sending": True}
    )
    report("progress", {"share": 0.5})
    report("sending", {"round": 1})
    assert heard == [("progress", False), ("sending", True)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_no_log_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 9, and when it begins."""
    (tmp_path / "agg").mkdir()
    assert main(["aggregator", "audit", str(tmp_path / "agg")]) == 9
    assert "begins with the first start" in capsys.readouterr().err


def test_it_ends_with_what_left_in_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused updates are none; an emptied log is not taken for one in which nothing stands."""
    log = AuditLog(audit_path(tmp_path))
    for accepted in (True, True, False):
        log.add("update", {"site": "s0", "accepted": accepted, "reason": "", "bytes": 1500})
    assert main(["aggregator", "audit", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "2 updates, 3,000 bytes"
    assert "accepted yes" in said
    audit_path(tmp_path).write_bytes(b"")
    assert main(["aggregator", "audit", str(tmp_path)]) == 9
    assert "is empty" in capsys.readouterr().err


def audit_path(folder: Path) -> Path:
    """Of an aggregator in this folder."""
    path = folder / TRUST / AUDIT
    path.parent.mkdir(exist_ok=True)
    return path
