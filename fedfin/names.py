"""What things are called: by names that people give, and by digests of what they hold."""

from typing import Annotated

from fedfin.settings import pattern

NAME = r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?"
# \Z, because $ also matches before a newline at the end.
Name = Annotated[
    str,
    pattern(
        rf"^{NAME}\Z",
        "1 to 64 of a-z, 0-9, - and _, the first and last a letter or digit, such as st-mary",
    ),
]
Digest = Annotated[str, pattern(r"^[0-9a-f]{64}\Z", "a SHA-256: 64 digits 0-9 and a-f")]
