"""Typed values of workbooks and Parquet files as the text that a CSV file would hold."""

from datetime import date, datetime, time
from typing import Any


def plain_cell(value: Any) -> Any:
    """Text as it is, nothing as "", numbers and booleans as Python writes them, dates in ISO 8601; lists stay lists."""
    if value is None:
        return ""
    if isinstance(value, (str, list)):
        return value
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()  # Excel and pandas have no other kind of date
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
