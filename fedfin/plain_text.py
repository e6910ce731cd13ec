"""Text of others on a terminal or in a log: it is never a command to either."""

_WHOLE = 1000.0  # from here on a number is printed without decimals


def plain_text(text: str) -> str:
    """On one line, without anything that a terminal obeys or that turns the direction of writing."""
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


def plain_value(value: object) -> str:
    """A fact for people: yes or no, a number in few digits, or text as above."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.4g}"
    return plain_text(str(value))


def plain_lines(text: str) -> str:
    """The same, line by line: for messages of several lines."""
    return "\n".join(map(plain_text, text.split("\n")))


def plain_error(error: BaseException) -> str:
    """An error's text fit for a log: it may quote what came from the network, so it is escaped and cut."""
    return ascii(str(error))[1:-1][:200]
