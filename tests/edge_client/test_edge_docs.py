"""docs/edge.md keeps up with the settings and with what problems are called."""

import re
from pathlib import Path

import msgspec
import pytest

from fedfin_edge.site import (
    CaseColumns,
    LoginSettings,
    ModalitySettings,
    Policy,
    ProxySettings,
    SiteSettings,
    TlsFiles,
)

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/edge.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "edge_client/fedfin_edge/cases").glob("*.py"),
    *(ROOT / "fedfin/encoders").glob("*.py"),
]


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (SiteSettings, ""),
        (CaseColumns, "cases."),
        (ModalitySettings, "modalities.NAME."),
        (Policy, "policy."),
        (TlsFiles, "tls."),
        (LoginSettings, "login."),
        (ProxySettings, "proxy."),
    ],
)
def test_every_key_is_documented(kind, prefix):
    """Each key of site.toml has its line."""
    keys = {prefix + field.name for field in msgspec.structs.fields(kind)} - {
        "cases",
        "modalities",
        "policy",
        "tls",
        "login",
        "proxy",
        "intake",
    }
    assert [key for key in sorted(keys) if f"`{key}`" not in DOCS] == []


def test_every_problem_is_documented():
    """Each reason in the code that a row can be given has its line, up to its first value."""
    told = re.sub(r"[^a-z]+", " ", DOCS.lower())
    reasons = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        reasons += re.findall(
            r'(?:InputError\(|reason = |reason=|skip\(number, |(?:notes|found)\.append\()\s*f?"((?!\{path)[^"{(;:]+)',
            text,
        )
    assert len(reasons) > 20
    assert [each for each in reasons if re.sub(r"[^a-z]+", " ", each.lower()).strip() not in told] == []
