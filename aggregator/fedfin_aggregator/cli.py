"""`fedfin aggregator`: draft, init, serve, show, model."""

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from fedfin import limits
from fedfin.command_line.report import JsonLines, RoundBar
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import SettingsError
from fedfin.files import make_folder, write_atomically
from fedfin.link import connect_options
from fedfin.lock import only_process
from fedfin.plan import Plan, plan_toml, read_plan
from fedfin.protocol.schedule import last_round
from fedfin.protocol.shards import Shard
from fedfin.settings import explain
from fedfin_aggregator.commands.summary import print_summary, summary
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.shard_rounds import ShardRounds
from fedfin_aggregator.serve.server import Server
from fedfin_aggregator.serve.shard_server import ShardServer
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.shard_journal import ShardJournal

JOURNAL = "journal.sqlite"
FINAL_MODEL = "final.fedfin"


def build(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands to the `fedfin aggregator` parser."""
    parser.epilog = "example: fedfin aggregator init plan.toml /srv/fedfin/chest"
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for build_one in (_build_draft, _build_init, _build_serve, _build_show, _build_model):
        build_one(commands)


def _build_draft(commands: Any) -> None:
    draft = _command(
        commands,
        "draft",
        "print a plan for these encoder bundles and labels, to be edited",
        "fedfin aggregator draft --federation chest --bundle bundles/image --bundle bundles/text"
        " --label effusion --label nodule --sites 10 > plan.toml",
    )
    draft.add_argument("--federation", required=True, metavar="NAME", help="a-z, 0-9, - and _")
    draft.add_argument(
        "--bundle", required=True, action="append", type=Path, metavar="PATH", help="once per modality"
    )
    draft.add_argument("--label", required=True, action="append", metavar="NAME", help="once per label")
    draft.add_argument("--sites", type=int, default=2, help="how many sites a round waits for (default: 2)")
    draft.add_argument("--rounds", type=int, default=20, help="rounds of training (default: 20)")
    draft.set_defaults(run=_draft)


def _build_init(commands: Any) -> None:
    init = _command(
        commands,
        "init",
        "set up an aggregator folder from a plan file",
        "fedfin aggregator init plan.toml /srv/fedfin/chest",
    )
    init.add_argument("plan", type=Path, help="plan file (TOML)")
    init.add_argument("folder", type=Path, help="folder to create")
    init.set_defaults(run=_init)


def _build_serve(commands: Any) -> None:
    serve = _command(
        commands,
        "serve",
        "run the federation's rounds over the broker; goes on where it stopped",
        "fedfin aggregator serve /srv/fedfin/chest --broker mqtts://broker.example --ca ca.pem",
    )
    serve.add_argument("folder", type=Path, help="aggregator folder")
    connect_options.add(serve)
    serve.add_argument("--json", action="store_true", help="report progress as JSON lines on standard output")
    share = serve.add_mutually_exclusive_group()
    share.add_argument(
        "--shards", type=int, metavar="N", help="be the root of N shards, which take the sites' updates"
    )
    share.add_argument(
        "--shard", metavar="I/N", help="be shard I of N, the first is 0/N; its folder needs the root's plan"
    )
    serve.set_defaults(run=_serve)


def _build_show(commands: Any) -> None:
    show = _command(
        commands, "show", "show rounds and results", "fedfin aggregator show /srv/fedfin/chest --json"
    )
    show.add_argument("folder", type=Path, help="aggregator folder")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=_show)


def _build_model(commands: Any) -> None:
    model = _command(
        commands,
        "model",
        "write one model version to a file",
        "fedfin aggregator model /srv/fedfin/chest --version 12 --out model-12.fedfin",
    )
    model.add_argument("folder", type=Path, help="aggregator folder")
    model.add_argument("--version", type=int, help="which version (default: the newest)")
    model.add_argument("--out", type=Path, required=True, help="file to write")
    model.set_defaults(run=_model)


def _command(commands: Any, name: str, summary_: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary_,
        description=summary_,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _draft(args: argparse.Namespace) -> int:
    manifests = [read_manifest(path) for path in args.bundle]
    try:
        plan = msgspec.convert(
            {
                "federation": args.federation,
                "labels": args.label,
                "modalities": [{"name": m.modality, "encoder": m.digest(), "dim": m.dim} for m in manifests],
                "rounds": {"count": args.rounds, "sites": args.sites},
            },
            Plan,
        )
    except msgspec.ValidationError as error:
        reason = explain(str(error), Plan)
        raise SettingsError(
            f"the draft would be no valid plan: {reason}; correct the option for it"
        ) from None
    print(plan_toml(plan), end="")
    return 0


def _init(args: argparse.Namespace) -> int:
    plan = read_plan(args.plan)
    make_folder(args.folder)
    Journal(args.folder / JOURNAL, create=plan).close()
    print(
        f"{args.folder}: federation {plan.federation}, plan {plan.digest()[:12]}, {last_round(plan)} rounds"
    )
    print(f"next: fedfin aggregator serve {args.folder} --broker mqtts://HOST")
    return 0


def _serve(args: argparse.Namespace) -> int:
    if args.shard is not None:
        return _serve_shard(args, Shard.parse(args.shard))
    if args.shards is not None and not 1 <= args.shards <= limits.SHARDS:
        raise SettingsError(f"--shards {args.shards}: a root has 1 to {limits.SHARDS} shards")
    with _journal(args.folder) as journal, only_process(args.folder, "fedfin aggregator serve"):
        journal.claim(f"the root of {args.shards} shards" if args.shards else "one aggregator")
        rounds = RootRounds(journal) if args.shards else Rounds(journal)
        with _reporter(args.json, journal) as report:
            tls, login = connect_options.tls(args), connect_options.login(args)
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
        _reporter(args.json, journal) as report,
    ):
        journal.claim(f"shard {shard.index}/{shard.count}")
        tls, login = connect_options.tls(args), connect_options.login(args)
        ShardServer(ShardRounds(journal, shard), args.broker, report, tls=tls, login=login).serve()
    return 0


def _show(args: argparse.Namespace) -> int:
    with _journal(args.folder) as journal:
        if args.json:
            json.dump(summary(journal), sys.stdout, indent=2)
            print()
        else:
            print_summary(journal, Console())
    return 0


def _model(args: argparse.Namespace) -> int:
    with _journal(args.folder) as journal:
        version = journal.versions.newest() if args.version is None else args.version
        write_atomically(args.out, Rounds(journal).model_file(version or 0))
    print(args.out)
    return 0


def _journal(folder: Path) -> contextlib.closing[Journal]:
    return contextlib.closing(Journal(folder / JOURNAL))


def _reporter(as_json: bool, journal: Journal) -> Any:
    if as_json:
        return JsonLines(sys.stdout)
    return RoundBar(Console(stderr=True), total=last_round(journal.plan), done=len(journal.rounds()) - 1)
