"""A 5 MB update over a bad uplink that is cut every ten seconds. Needs root: `make test-network`."""

from pathlib import Path

import pytest

from benchmarks.transport.bad_link import measure
from benchmarks.transport.namespaces import unavailable

UPLINK_BYTES_PER_S = 250_000


@pytest.mark.slow
@pytest.mark.broker
def test_a_large_update_arrives_over_a_link_that_keeps_breaking(tmp_path: Path) -> None:
    """2 Mbit/s, every tenth packet lost: at most 1.3 bytes on the wire for each of the update.

    A packet that is lost travels again: 1.11 of it is the loss itself, 1.04 are headers. Of what was published, a cut
    costs at most what was under way, a second's worth; beside it there are offers, state and keepalives.
    """
    if (reason := unavailable()) is not None:
        pytest.skip(reason)
    figures = measure(tmp_path)
    print(figures)
    assert figures.payload_bytes > 5_000_000
    assert figures.cuts >= 2
    assert figures.ratio <= 1.3
    assert figures.sent_again <= figures.cuts * UPLINK_BYTES_PER_S * 1.3 + 100_000
