"""The demo refuses what cannot work before it begins, and leaves the folder free for another try."""

from pathlib import Path

import pytest
from rich.console import Console

from fedfin.codec import PRESETS
from fedfin.command_line.main import main
from fedfin.demo import cli
from fedfin.demo.processes import free_port
from fedfin.demo.run import run_demo
from fedfin.demo.stages import Settings
from fedfin.errors import InputError

BAD_WORDS = ["--sites 0", "--rounds 0", "--patients -3", "--seed -1", "--seed 99999999999", "--layer bogus"]


def test_every_preset_can_be_chosen() -> None:
    """The command line's list is the codec's."""
    assert tuple(PRESETS) == cli.PRESETS


@pytest.mark.parametrize("words", BAD_WORDS)
def test_a_bad_number_is_a_wrong_command_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and the message names option and range."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", *words.split()])
    assert caught.value.code == 2
    assert f"argument {words.split(maxsplit=1)[0]}" in capsys.readouterr().err


def test_options_that_do_not_fit_are_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More sites with text than sites, a table that is not there, a broker that is none, one that is not there."""
    monkeypatch.setattr("fedfin.demo.run.BROKER_S", 0.3)
    out, port = tmp_path / "out", free_port()
    for words, code, said in (
        (["--sites", "2", "--with-text", "3"], 3, "--with-text 3"),
        (["--cases", str(tmp_path / "no.csv")], 4, "no.csv: cannot read"),
        (["--broker", "localhost"], 3, "broker 'localhost'"),
        (["--broker", f"mqtt://127.0.0.1:{port}"], 7, f"nobody listens on 127.0.0.1:{port}"),
    ):
        assert main(["demo", "--out", str(out), *words]) == code
        assert said in capsys.readouterr().err
    assert not out.exists()


def test_an_out_that_is_a_file_is_a_plain_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 9."""
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file")]) == 9
    assert "file: cannot make this folder" in capsys.readouterr().err


def test_too_few_cases_leave_the_folder_free_for_other_settings(tmp_path: Path) -> None:
    """Neither settings nor cases of the failed try stay."""
    settings = Settings(None, 3, 10, 2, 1, "mlp", "last", "small", "small", 0, "open", 8)
    with pytest.raises(InputError, match="use fewer sites or more cases"):
        run_demo(settings, tmp_path / "out", None, Console(quiet=True))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock"}
