"""What the benchmarks' commands have in common: how they are added, their options, and how they end."""

import argparse
import signal
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command


def add_json_command(commands: Commands, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    """A command that has --json."""
    parser = add_command(commands, name, summary, example=example)
    parser.add_argument("--json", action="store_true", help="as JSON, on standard output")
    return parser


def add_cache(parser: argparse.ArgumentParser) -> None:
    """--cache."""
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="of data files and features (default: ~/.cache/fedfin-bench)",
    )


def cache_folder(args: argparse.Namespace) -> Path:
    """What --cache says, or the default."""
    from benchmarks.data.loaders import default_cache

    folder: Path = args.cache or default_cache()
    return folder


def positive(text: str) -> int:
    """An option's whole number from 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def end_children_when_ended() -> None:
    """SIGTERM unwinds the stack as Ctrl-C does, so that what was started is ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
