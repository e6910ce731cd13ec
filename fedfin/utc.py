"""Moments as text, UTC: as files hold them, and as people read them."""

import datetime as dt


def timestamp() -> str:
    """Now, as 2026-11-27T09:30:01Z."""
    return dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(seconds: float) -> str:
    """Seconds since the epoch, as 2026-11-27 09:30:01 UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
