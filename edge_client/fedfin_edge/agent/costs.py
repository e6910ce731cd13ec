"""What taking part in a federation cost a site."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Bytes: see mqtt.Traffic; memory: peak resident sets of agent and TaskProcess."""

    seconds_training: float
    seconds_waiting: float
    bytes_up: int
    bytes_down: int
    peak_rss_mb: float
