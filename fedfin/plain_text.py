"""Text of others on a terminal or in a log: it is never a command to either."""


def plain_text(text: str) -> str:
    """On one line, without anything that a terminal obeys or that turns the direction of writing."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


def plain_lines(text: str) -> str:
    """The same, line by line: for messages of several lines."""
    return "\n".join(map(plain_text, text.split("\n")))
