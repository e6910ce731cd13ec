"""`fedfin aggregator serve`: run the federation's rounds over the broker, whole or as one of its shards."""

import argparse
import contextlib
import sys
from pathlib import Path

from rich.console import Console

from fedfin import limits
from fedfin.command_line import broker_options
from fedfin.command_line.parsers import Commands, add_command
from fedfin.command_line.progress import JsonLines, RoundBar
from fedfin.errors import SettingsError
from fedfin.files import write_atomically
from fedfin.lock import only_process
from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round
from fedfin.protocol.shards import Shard
from fedfin_aggregator.folder import FINAL_MODEL, JOURNAL, open_journal
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.serve.server import Server
from fedfin_aggregator.serve.shard_server import ShardServer
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.shard_journal import ShardJournal
from fedfin_aggregator.summary import print_summary

EXAMPLE = "fedfin aggregator serve /srv/fedfin/chest --broker mqtts://broker.example --ca ca.pem"


def add(commands: Commands) -> None:
    """Add `serve` to the parser of `fedfin aggregator`."""
    summary = "run the federation's rounds over the broker; goes on where it stopped"
    parser = add_command(commands, "serve", summary, example=EXAMPLE)
    parser.add_argument("folder", type=Path, help="aggregator folder")
    broker_options.add(parser)
    parser.add_argument(
        "--json", action="store_true", help="report progress as JSON lines on standard output"
    )
    share = parser.add_mutually_exclusive_group()
    share.add_argument(
        "--shards", type=int, metavar="N", help="be the root of N shards, which take the sites' updates"
    )
    share.add_argument(
        "--shard", metavar="I/N", help="be shard I of N, the first is 0/N; its folder needs the root's plan"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the last round is closed. Raises SettingsError, StateError."""
    if args.shard is not None:
        return _serve_shard(args, Shard.parse(args.shard))
    if args.shards is not None and not 1 <= args.shards <= limits.SHARDS:
        raise SettingsError(f"--shards {args.shards}: a root has 1 to {limits.SHARDS} shards")
    with open_journal(args.folder) as journal, only_process(args.folder, "fedfin aggregator serve"):
        if args.shards:
            _check_shardable(journal.plan)
        journal.claim(f"the root of {args.shards} shards" if args.shards else "one aggregator")
        rounds = RootRounds(journal) if args.shards else Rounds(journal)
        with _reporter(args, journal) as report:
            tls, login = broker_options.tls(args), broker_options.login(args)
            Server(rounds, args.broker, report, shards=args.shards or 0, tls=tls, login=login).serve()
        version = journal.versions.newest()
        assert version is not None
        write_atomically(args.folder / FINAL_MODEL, rounds.model_file(version))
        if not args.json:
            print_summary(journal, Console())
            print(f"final model: {args.folder / FINAL_MODEL}")
    return 0


def _serve_shard(args: argparse.Namespace, shard: Shard) -> int:
    with (
        contextlib.closing(ShardJournal(args.folder / JOURNAL)) as journal,
        only_process(args.folder, "fedfin aggregator serve"),
        _reporter(args, journal) as report,
    ):
        _check_shardable(journal.plan)
        journal.claim(f"shard {shard.index}/{shard.count}")
        tls, login = broker_options.tls(args), broker_options.login(args)
        ShardServer(ShardRounds(journal, shard), args.broker, report, tls=tls, login=login).serve()
    return 0


def _check_shardable(plan: Plan) -> None:
    """A shard sums before anybody knows what all sites claim. Raises SettingsError."""
    if plan.rounds.max_share < 1:
        raise SettingsError(
            f"the plan's rounds.max_share is {plan.rounds.max_share:g}, which shards cannot keep; serve without"
            " shards, or set it to 1.0"
        )


def _reporter(args: argparse.Namespace, journal: Journal) -> JsonLines | RoundBar:
    if args.json:
        return JsonLines(sys.stdout)
    return RoundBar(Console(stderr=True), total=last_round(journal.plan), done=len(journal.rounds()) - 1)
