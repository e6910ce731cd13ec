"""How every group adds its commands, so that they all look the same with --help."""

import argparse
import importlib
from collections.abc import Sequence
from typing import TypeAlias

# What `add_subparsers` returns; argparse has no public name for it, and at run time it takes no parameters.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_group(parser: argparse.ArgumentParser, package: str, names: Sequence[str], *, example: str) -> None:
    """Let each module `package.name` add its command, in this order, by `add(commands)`.

    Heavy imports belong inside what the command runs, so that `--help` answers at once.
    """
    commands = add_commands(parser, example=example)
    for name in names:
        importlib.import_module(f"{package}.{name}").add(commands)


def add_commands(parser: argparse.ArgumentParser, *, example: str) -> Commands:
    """The list that a group's commands are added to; one of them must be given."""
    parser.epilog = f"example: {example}    (--help of a command has its own)"
    return parser.add_subparsers(metavar="COMMAND", required=True)


def add_command(
    commands: Commands, name: str, summary: str, *, example: str, description: str | None = None
) -> argparse.ArgumentParser:
    """A command's parser.

    `summary`: its line in the group's list. `description`: what --help opens with, where that is more.
    `example`: one command line, or several with what is to be said about them.
    """
    several = "\n" in example
    return commands.add_parser(
        name,
        help=summary,
        description=description or summary,
        epilog=f"examples:\n{example}" if several else f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
