"""What comes from others is data: no markup, no terminal control, no second line, in any process that prints it."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from federation import broker as run_broker
from federation import fedfin, make_bundle, make_plan, need_mosquitto, set_up, write_cases
from paho.mqtt import publish

from fedfin.codec import compress
from fedfin.errors import EvictedError, ProtocolError
from fedfin.model.model_spec import task_specs
from fedfin.model.plan_file import plan_toml
from fedfin.plain_text import plain_lines, plain_text
from fedfin.plan_sections import Modality
from fedfin.protocol.messages.channels import UpControl
from fedfin.protocol.messages.message import decode
from fedfin.protocol.payloads import encode_update
from fedfin_aggregator.folder import open_journal
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.state import AgentState
from fedfin_edge.predict.evaluation import print_scores

HOSTILE = "[/x]\x1b]0;owned\x07\x1b[2J\u202emoc.elpmaxe\nfedfin: all is well\r\x9b1m"
HELLO = bytes.fromhex("83a46b696e64a568656c6c6fa17601a45b2f785d01")
IMAGE = Modality(name="image", encoder="a" * 64, dim=6)


def check_plain(printed: str) -> None:
    """Lines of what a person can read."""
    assert all(sign.isprintable() or sign == "\n" for sign in printed), ascii(printed)
    assert "\nfedfin: all is well" not in printed


def test_text_of_others_is_one_line_that_no_terminal_obeys() -> None:
    """Escapes, bells, bidirectional overrides, line breaks; other scripts stay as they are."""
    check_plain(plain_text(HOSTILE))
    assert plain_text("Übung 肺 é") == "Übung 肺 é"
    assert plain_lines("a\nb\x1b") == "a\nb\\x1b"


def test_a_hello_named_as_markup_is_refused_as_bytes_that_break_the_protocol() -> None:
    """83a46b...: its name is [/x]; what the error quotes is plain."""
    with pytest.raises(ProtocolError) as refused:
        decode(HELLO, UpControl)
    check_plain(str(refused.value))


def test_an_error_with_text_of_others_is_printed_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as why the aggregator dropped this site."""
    from fedfin.command_line import main as command

    def refuse(_: object) -> None:
        raise EvictedError(HOSTILE.replace("\n", ""))

    monkeypatch.setattr("fedfin_aggregator.commands.show.run", refuse)
    assert command.main(["aggregator", "show", "chest"]) == 10
    check_plain(capsys.readouterr().err)


def _update(plan, task: str, run: str, round_: int, base: int, metrics: dict[str, float]) -> bytes:
    shapes = task_specs(plan, task)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return encode_update(
        compress(tensors, shapes, "exact").body,
        dict.fromkeys(shapes, 5),
        shapes,
        site="s0",
        plan=plan.digest(),
        run=run,
        round_=round_,
        task=task,
        base=base,
        metrics=metrics,
    )


def test_a_metric_named_as_markup_cannot_end_aggregator_show(tmp_path: Path) -> None:
    """cases.[/x] in the last round was a MarkupError at every `show` from then on; now no site may call a metric so."""
    plan = make_plan({}, sites=1, rounds=1, modalities=(IMAGE,))
    plan_file, folder = tmp_path / "plan.toml", tmp_path / "ward"
    plan_file.write_text(plan_toml(plan))
    set_up("aggregator", "init", plan_file, folder)
    with open_journal(folder) as journal:
        rounds = Rounds(journal)
        while not rounds.position.finished:
            at = rounds.position
            task = journal.rounds()[-1].task
            for name, accepted in ((f"cases.{HOSTILE}", False), (HOSTILE, True)):
                sent = _update(plan, task, journal.run, at.round, at.version, {name[:100]: 1.0})
                assert rounds.judge(at.round, "s0", bytes(32), sent).accepted == accepted
            rounds.close(at.round)
    check_plain(fedfin("aggregator", "show", folder).stdout)
    assert "as-is" in fedfin("aggregator", "show", folder).stdout
    json.loads(fedfin("aggregator", "show", folder, "--json").stdout)


def test_explain_update_prints_names_of_metrics_plainly(tmp_path: Path) -> None:
    """In a process of its own, as a person would."""
    make_bundle(tmp_path / "bundle", "image", 6)
    table = write_cases(tmp_path / "cases.jsonl", 0, ("image",))
    site = tmp_path / "s0"
    set_up("edge", "init", site, "--site", "s0", "--federation", "ward", "--broker", "mqtt://127.0.0.1",
           "--cases", table, "--bundle", tmp_path / "bundle")  # fmt: skip
    plan = make_plan({}, modalities=(IMAGE,))
    state = AgentState(site / "state")
    state.join("0" * 16, plan)
    sent = _update(plan, "moments", "1" * 16, 1, 0, {HOSTILE: 1.0})
    state.put_update(Outbox(1, "moments", sent, b"", b""))
    check_plain(fedfin("edge", "explain-update", site).stdout)


def test_labels_of_a_plan_are_printed_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    """A coordinator may name a label as markup."""
    print_scores({"all": {"cases": 1, "macro_auc": 0.5, "labels": {HOSTILE: 0.5}}})
    check_plain(capsys.readouterr().out)


@pytest.mark.broker
def test_a_running_aggregator_prints_hostile_messages_plainly_and_goes_on(tmp_path: Path) -> None:
    """The hello named [/x], and one of other bytes, to the real process over a real broker."""
    need_mosquitto()
    plan_file, folder = tmp_path / "plan.toml", tmp_path / "ward"
    plan_file.write_text(plan_toml(make_plan({}, modalities=(IMAGE,))))
    set_up("aggregator", "init", plan_file, folder)
    with run_broker("mosquitto", tmp_path) as url:
        command = [
            sys.executable,
            "-m",
            "fedfin",
            "aggregator",
            "serve",
            str(folder),
            "--broker",
            url,
            "--no-keys",
        ]
        serving = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        port, topic = int(url.rpartition(":")[2]), "fedfin/1/ward/site/s0/up/ctl"
        for _ in range(5):
            for message in (HELLO, HOSTILE.encode()):
                publish.single(topic, message, qos=1, port=port)
            with contextlib.suppress(subprocess.TimeoutExpired):
                serving.wait(2)
        assert serving.poll() is None, serving.communicate()[0]
        serving.terminate()
        printed = serving.communicate()[0]
    assert "bad-message: " in printed
    check_plain(printed)
