"""`fedfin edge run`: take part in the federation until it is finished."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from fedfin.command_line import log_file, no_keys
from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import MissingExtraError


def add(commands: Commands) -> None:
    """Add the sub-command's parser."""
    summary = "take part: train when a round asks; goes on where it stopped"
    example = "fedfin edge run /srv/fedfin/st-mary"
    parser = add_command(commands, "run", summary, example=example)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument(
        "--json", action="store_true", help="report progress as JSON lines on standard output"
    )
    parser.add_argument(
        "--keep-deltas",
        type=Path,
        metavar="FOLDER",
        help="also write each training round's raw float32 deltas there, as .npz files; they stay on this machine",
    )
    log_file.add(parser)
    no_keys.add(parser)
    parser.add_argument(
        "--again",
        action="store_true",
        help="take part in the run that the aggregator is at, although this site has answered the plan in another, or"
        " the aggregator was set back too often",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the agent; exit codes as in fedfin.errors."""
    if find_spec("torch") is None:  # it is loaded when a round needs it, which may be in days
        raise MissingExtraError("training", "edge")
    from rich.console import Console

    from fedfin.command_line.progress import JsonLines, RoundBar
    from fedfin.lock import only_process
    from fedfin.service.notify import Manager
    from fedfin_edge.agent.admitted import admitted_agent
    from fedfin_edge.agent.agent import Agent
    from fedfin_edge.agent.status import StatusFile
    from fedfin_edge.site import open_site
    from fedfin_edge.tasks.task_process import TaskProcess

    site = open_site(args.folder)
    reporter = JsonLines(sys.stdout) if args.json else RoundBar(Console(stderr=True), total=None)
    lock, status, manager = (
        only_process(site.folder, "fedfin edge run"),
        StatusFile(site.state_path),
        Manager(),
    )
    with lock, reporter as report, status:
        keys = no_keys.check_keys(site.trust_path, args, "fedfin edge request")
        make_agent = admitted_agent if keys else Agent
        agent = make_agent(
            site,
            manager.informed(status.reported(log_file.logged(report, args.log))),
            keep_deltas=args.keep_deltas,
            again=args.again,
            tasks=TaskProcess(),
            beat=manager.beat,
        )
        status.measure(lambda: agent.traffic)
        with manager.serving():
            agent.run()
    return 0
