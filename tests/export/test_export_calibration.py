"""Calibration sees what sites will see."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from fedfin.encoders.bundle import TextRecipe
from fedfin_export.quantize.calibration import MIN_CASES, read_calibration
from fedfin_export.sources.float_encoder import FloatEncoder

PLAIN = ["CRP < 5, no effusion.", "Lungs clear.", "Größe normal."]
MARKED = [
    r"CRP &lt; 5, <b nowrap>no</b> effusion.",
    r"\H\Lungs\N\ clear\X2E\ ",
    r"{\rtf1 Gr\'f6\'dfe \b normal.}",
]


@pytest.fixture
def encoder():
    """A text encoder whose tokens are characters, so that each one that is read counts."""
    tokenizer = Tokenizer(models.WordLevel({chr(code): code for code in range(32, 256)}, unk_token=" "))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    recipe = TextRecipe("tokenizer.json", 64, 32, ("input_ids",))
    return FloatEncoder(
        "tiny", "text", torch.nn.Identity(), recipe, "made in a test", "Apache-2.0", tokenizer.to_str()
    )


def token_ids(encoder, path, lines):
    """What the encoder would be calibrated on, from a file of these lines."""
    path.write_text("\n".join(lines), encoding="utf-8")
    return [batch["input_ids"].tolist() for batch in read_calibration(encoder, path).hold_out]


def test_texts_are_calibrated_on_as_sites_read_them(encoder, tmp_path):
    """RTF, HTML and HL7 escapes as plain text: else the parity would be that of their markup."""
    plain, marked = (token_ids(encoder, tmp_path / "texts", lines * MIN_CASES) for lines in (PLAIN, MARKED))
    assert plain == marked
    assert plain[0] == [[ord(letter) for letter in PLAIN[0]]]


def test_a_text_that_sites_would_leave_out_is_skipped_by_its_line(encoder, tmp_path):
    """As an image that cannot be read is."""
    path = tmp_path / "texts"
    path.write_text("\n".join(["Lungs clear.", "", "<p></p>", *PLAIN * MIN_CASES]), encoding="utf-8")
    found = read_calibration(encoder, path)
    assert found.skipped == (f"{path}, line 3: is markup around no text",)
    assert len(found.hold_out) == 1 + len(PLAIN) * MIN_CASES
