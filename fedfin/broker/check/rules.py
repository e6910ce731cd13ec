"""Topics as findings name them, and where the rules for them stand."""

from fedfin.protocol.topics import Topics

COMPARE_RULES = (
    "compare the broker's rules with the table in docs/broker.md: the federation's name, and who we are to it"
)


def shown(topics: Topics, which: list[str]) -> str:
    """Below the federation's root, which all of them begin with."""
    return ", ".join(topic.removeprefix(f"{topics.root}/") for topic in which)
