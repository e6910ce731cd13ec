"""What all tests of the aggregator share."""

import secrets

import pytest
from round_helpers import RUN


@pytest.fixture(autouse=True)
def one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every journal is of one run, which the updates of round_helpers.py name."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: RUN)
