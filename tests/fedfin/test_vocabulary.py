"""A text of words that the tokenizer does not know is noted; no list of languages is asked."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from fedfin.encoders.vocabulary import note_vocabulary

SPELLED = "has mostly words that the encoder does not know whole: a language that is not its own"
UNKNOWN = "has many characters that the encoder does not know: a script or language that is not its own"


@pytest.fixture
def tokenizer():
    """It knows two words whole, and spells others of a, b and c."""
    words = ["[UNK]", "lung", "clear", "a", "##a", "##b", "##c"]
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("lung clear " * 4, ()),
        ("lung clear " * 3 + "abc ab acb", ()),
        ("lung clear " * 2 + "abc ab acb", ()),
        ("lung clear " * 5 + "b", ()),
        ("lung clear " * 4 + "b b", (UNKNOWN,)),
        ("lung clear " * 2 + "abc ab acb aa", (SPELLED,)),
        ("abc " * 2, ()),
        ("abc " * 3, (SPELLED,)),
        ("lung " + "abc " * 3, ()),
        ("lung " + "abc " * 4, (SPELLED,)),
        ("abc " * 8, (SPELLED,)),
        ("abc . 12 " * 2, ()),
        ("lung ab clear lung ab clear ab ab", (SPELLED,)),
        ("胸 水 " * 4, (UNKNOWN,)),
        ("lung " * 90 + "水", ()),
        ("", ()),
    ],
)
def test_texts_of_spelled_or_unknown_words_are_noted(tokenizer, text, notes):
    """Two words say nothing, and few must hardly have one whole; figures and punctuation are no words."""
    assert note_vocabulary(tokenizer, text) == notes
