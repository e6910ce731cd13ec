"""docs/security.md: each attack names a test that there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
PRIVACY = (ROOT / "docs/privacy.md").read_text(encoding="utf-8")
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_attack_names_a_test_and_every_test_is_there() -> None:
    """A defence without a test is a hope."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and line.count("|") == 4][:]
    attacks = [row for row in rows if not row.startswith(("|---", "| attack |"))]
    assert len(attacks) > 30
    assert [row for row in attacks if "`test_" not in row] == []
    assert sorted(set(re.findall(r"`(test_\w+)`", PAGE + PRIVACY)) - TESTS) == []
