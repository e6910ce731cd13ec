"""Whether a text is made of words that an encoder's tokenizer knows: a sign of another language than its own.

A tokenizer keeps the words of its language whole and spells others out of pieces. It needs no list of languages,
and an encoder for many languages knows the words of them all. `python -m benchmarks.languages` measures it.
"""

from itertools import groupby
from typing import Any

# Fewer words say nothing: "perihilar distribution" is English.
MIN_WORDS = 3
# So few words are noted only when hardly one is whole: of 1,558 English phrases 4, of 73 in other languages 29.
FEW_WORDS = 7
MIN_WHOLE_OF_FEW = 0.25
# MiniLM keeps 59 % or more of the words whole in all but one of 365 English notes, 58 % or less in 43 sentences of 14
# other languages that no script gives away.
MIN_WHOLE = 0.59
# Of English notes at most 0.5 % of the tokens are unknown, of Chinese ones 64 % or more.
MAX_UNKNOWN = 0.1


def note_vocabulary(tokenizer: Any, text: str) -> tuple[str, ...]:
    """What is to be noted of a text's words, by those of its first window."""
    count, known, whole = word_shares(tokenizer, text)
    if 1 - known > MAX_UNKNOWN:
        return (
            "has many characters that the encoder does not know: a script or language that is not its own",
        )
    if whole < (MIN_WHOLE if count > FEW_WORDS else MIN_WHOLE_OF_FEW):
        return ("has mostly words that the encoder does not know whole: a language that is not its own",)
    return ()


def word_shares(tokenizer: Any, text: str) -> tuple[int, float, float]:
    """Number of words of letters; share of the tokens that are known, and of these words that are one known token.

    Both shares are 1 where there are fewer than MIN_WORDS words.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    unknown = tokenizer.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    pieces = zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True)
    words = [list(word) for _, word in groupby(pieces, key=lambda piece: piece[0])]
    letters = [
        [token for _, token, _ in word]
        for word in words
        if any(c.isalpha() for _, _, (a, b) in word for c in text[a:b])
    ]
    if len(letters) < MIN_WORDS:
        return len(letters), 1.0, 1.0
    whole = sum(len(tokens) == 1 and tokens[0] != unknown for tokens in letters) / len(letters)
    return len(letters), 1 - encoding.ids.count(unknown) / len(encoding.ids), whole
