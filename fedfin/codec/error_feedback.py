"""Error feedback: what compression dropped is remembered and goes with the next update.

Without it a biased compressor loses for good what it drops: Karimireddy et al. 2019, arXiv 1901.09847;
Sattler et al. 2019, arXiv 1903.02891, section V. Where the residual is kept, and when it changes hands, is its
owner's business: fedfin_edge/agent/error_feedback.py at a site, fedfin_aggregator/rounds/versions.py on the way down.
"""

from fedfin.codec.layout import Tensors


def compensate(deltas: Tensors, residual: Tensors) -> Tensors:
    """What to compress: each delta with what is still owed to it. A tensor without delta is not sent."""
    return {name: delta + residual[name] if name in residual else delta for name, delta in deltas.items()}
