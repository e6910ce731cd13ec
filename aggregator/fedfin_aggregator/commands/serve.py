"""`fedfin aggregator serve`: run the federation's rounds over the broker, whole or as one of its shards."""

import argparse
import contextlib
import sys
from pathlib import Path

from rich.console import Console

from fedfin import limits
from fedfin.command_line import broker_options, log_file, no_keys
from fedfin.command_line.parsers import Commands, add_command
from fedfin.command_line.progress import JsonLines, RoundBar
from fedfin.errors import SettingsError
from fedfin.files import write_atomically
from fedfin.folders import warn_if_open
from fedfin.lock import only_process
from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round
from fedfin.protocol.shards.shard import Shard
from fedfin.protocol.topics import Topics
from fedfin.service.notify import Manager
from fedfin.trust.accepted import TRUST, admitted_tls
from fedfin.trust.aggregator_channel import AggregatorChannel
from fedfin.trust.audit_log import AUDIT, AuditLog, Report, audited
from fedfin_aggregator.folder import FINAL_MODEL, JOURNAL, ROOT, enrolled, open_journal
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.secure_rounds import SecureRounds
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.serve.server import Server
from fedfin_aggregator.serve.shard_server import ShardServer
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.shard_journal import ShardJournal
from fedfin_aggregator.summary import print_summary

# Events in the audit log, and whether they are on the disk before anything else happens: the journal holds the rest.
AUDITED = {
    "update": False,
    "cohort": False,
    "sum": False,
    "closed": False,
    "charter": True,
    "stalled": False,
    "declined": False,
    "outlier": False,
    "bad-dealing": False,
    "bad-message": False,
}
OPEN = (
    'PRIVACY IS "OPEN": this aggregator sees what each site sends, and could tell of single patients from it. For data'
    " that may be public (docs/secure-sums.md)."
)
EXAMPLE = "fedfin aggregator serve /srv/fedfin/chest --broker mqtts://broker.example --ca ca.pem"


def add(commands: Commands) -> None:
    """Add `serve` to the parser of `fedfin aggregator`."""
    summary = "run the federation's rounds over the broker; goes on where it stopped"
    parser = add_command(commands, "serve", summary, example=EXAMPLE)
    parser.add_argument("folder", type=Path, help="aggregator folder")
    broker_options.add(parser)
    log_file.add(parser)
    no_keys.add(parser)
    parser.add_argument(
        "--json", action="store_true", help="report progress as JSON lines on standard output"
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="serve although another aggregator of this federation does; that one stops",
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
        if args.take_over:
            raise SettingsError(
                "--take-over goes with an aggregator or a root, not with --shard: of two that are the same shard stop"
                " one yourself (docs/shards.md)"
            )
        return _serve_shard(args, Shard.parse(args.shard))
    if args.shards is not None and not 1 <= args.shards <= limits.SHARDS:
        raise SettingsError(f"--shards {args.shards}: a root has 1 to {limits.SHARDS} shards")
    with open_journal(args.folder) as journal, only_process(args.folder, "fedfin aggregator serve"):
        if args.shards:
            _check_shardable(journal.plan)
        journal.claim(f"{ROOT} {args.shards} shards" if args.shards else "one aggregator")
        channel = _channel(args, journal)
        _check_private(journal.plan, channel, sharded=bool(args.shards))
        rounds = _rounds(args, journal)
        with _reporter(args, journal) as report:
            tls, login = (
                broker_options.tls(args) or admitted_tls(args.folder / TRUST),
                broker_options.login(args),
            )
            heard = log_file.logged(report, args.log)
            heard = heard if channel is None else _audited(heard, args.folder, channel)
            manager = Manager()
            server = Server(
                rounds,
                args.broker,
                manager.informed(heard),
                shards=args.shards or 0,
                tls=tls,
                login=login,
                proxy=broker_options.proxy(args),
                channel=channel,
                take_over=args.take_over,
                beat=manager.beat,
            )
            with manager.serving():
                server.serve()
        version = journal.versions.newest()
        assert version is not None
        write_atomically(args.folder / FINAL_MODEL, rounds.model_file(version))
        if not args.json:
            print_summary(journal, Console(markup=False), enrolled(args.folder))
            print(f"final model: {args.folder / FINAL_MODEL}")
    return 0


def _rounds(args: argparse.Namespace, journal: Journal) -> Rounds:
    if journal.plan.privacy.summed:
        return SecureRounds(journal)
    return RootRounds(journal) if args.shards else Rounds(journal)


def _check_private(plan: Plan, channel: AggregatorChannel | None, *, sharded: bool) -> None:
    """Secure sums need keys, and one aggregator. At "open" it is said. Raises SettingsError."""
    if not plan.privacy.summed:
        print(f"fedfin: {OPEN}", file=sys.stderr)
    elif channel is None or sharded:
        raise SettingsError(
            f'the plan\'s privacy.level is "{plan.privacy.level}", which needs keys (docs/keys.md) and no shards; or'
            f" set {plan.opening} in plan.toml, and `fedfin aggregator init` a new folder with it"
        )
    elif (least := channel.charter.least_sites) > plan.rounds.min_sites:
        raise SettingsError(
            f"charter {channel.charter.number} wants {least} sites behind a sum, the plan's rounds.min_sites are"
            f" {plan.rounds.min_sites}; the coordinator lowers one (`fedfin aggregator charter --least-sites`) or"
            " raises the other"
        )


def _channel(args: argparse.Namespace, journal: Journal) -> AggregatorChannel | None:
    trust = args.folder / TRUST
    if not no_keys.check_keys(trust, args, "fedfin aggregator request"):
        return None
    if args.shards or args.shard:
        raise SettingsError(
            "shards have no keys yet: serve without them, or, to try them out, with --no-keys"
        )
    return AggregatorChannel(trust, Topics(journal.plan.federation))


def _audited(report: Report, folder: Path, channel: AggregatorChannel) -> Report:
    log = AuditLog(folder / TRUST / AUDIT)
    log.add("start", {"charter": channel.charter.number, "sites": len(channel.charter.roster)})
    return audited(report, log, AUDITED)


def _serve_shard(args: argparse.Namespace, shard: Shard) -> int:
    warn_if_open(args.folder)
    with (
        contextlib.closing(ShardJournal(args.folder / JOURNAL)) as journal,
        only_process(args.folder, "fedfin aggregator serve"),
        _reporter(args, journal) as report,
    ):
        _check_shardable(journal.plan)
        _channel(args, journal)
        journal.claim(f"shard {shard.index}/{shard.count}")
        tls, login = broker_options.tls(args), broker_options.login(args)
        proxy = broker_options.proxy(args)
        ShardServer(
            ShardRounds(journal, shard),
            args.broker,
            log_file.logged(report, args.log),
            tls=tls,
            login=login,
            proxy=proxy,
        ).serve()
    return 0


def _check_shardable(plan: Plan) -> None:
    """A shard sums before anybody knows what all sites claim or send. Raises SettingsError."""
    if plan.rounds.max_share < 1:
        raise SettingsError(
            f"the plan's rounds.max_share is {plan.rounds.max_share:g}, which shards cannot keep; serve without"
            " shards, or set it to 1.0"
        )
    if plan.rounds.robust != "none":
        raise SettingsError(
            f'the plan\'s rounds.robust is "{plan.rounds.robust}", which needs all updates in one place; serve without'
            ' shards, or set it to "none"'
        )


def _reporter(args: argparse.Namespace, journal: Journal) -> JsonLines | RoundBar:
    if args.json:
        return JsonLines(sys.stdout)
    return RoundBar(Console(stderr=True), total=last_round(journal.plan), done=len(journal.rounds()) - 1)
