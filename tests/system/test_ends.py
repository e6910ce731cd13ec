"""How `serve` and `run` end, and what does not end them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from federation import Federation, broker, start

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory):
    """Set up, over a broker that lasts as long as the tests here; nobody runs."""
    folder = tmp_path_factory.mktemp("ends")
    with broker("mosquitto", folder) as url:
        yield Federation(folder, url, sites=2)


def test_sigterm_ends_aggregator_and_site_within_five_seconds_with_their_costs(
    federation: Federation,
) -> None:
    """As `systemctl stop` and `docker stop` do it; exit code 130."""
    serve = ("aggregator", "serve", federation.folder / "agg", "--broker", federation.broker_url)
    run = ("edge", "run", federation.folder / "s0")
    started = [
        start(*words, "--json", "--no-keys", log=federation.folder / f"{name}.log")
        for name, words in (("agg", serve), ("s0", run))
    ]
    until = time.monotonic() + 60
    while time.monotonic() < until and not any(e["event"] == "sending" for e in federation.events("s0")):
        time.sleep(0.1)
    for process in started:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(5) for process in started] == [130, 130]
    assert federation.events("s0")[-1]["event"] == "costs"


@pytest.mark.parametrize("party", ["aggregator", "site"])
def test_sigterm_ends_it_as_process_1_too(federation: Federation, party: str) -> None:
    """In a container it is that, and the kernel gives process 1 no default for the signal."""
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process namespace may be made here")
    words = {
        "aggregator": ["aggregator", "serve", federation.folder / "agg", "--broker", federation.broker_url],
        "site": ["edge", "run", federation.folder / "s0"],
    }[party]
    command = ["unshare", "--pid", "--fork", sys.executable, "-m", "fedfin", *words, "--json", "--no-keys"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert any('"online"' in line for line in process.stdout)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 130


@pytest.mark.parametrize("scheme", ["mqtts", "ws"])
def test_sigterm_ends_aggregator_and_site_while_they_still_connect(
    federation: Federation, scheme: str, tmp_path: Path
) -> None:
    """Who listens there takes the connection and says nothing: no handshake comes to its end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        shutil.copytree(federation.folder / "s0", tmp_path / "s0")
        settings = tmp_path / "s0" / "site.toml"
        settings.write_text(settings.read_text().replace(federation.broker_url, url))
        serve = ("aggregator", "serve", federation.folder / "agg", "--broker", url)
        started = [
            start(*words, "--json", "--no-keys", log=tmp_path / f"{words[0]}.log")
            for words in (serve, ("edge", "run", tmp_path / "s0"))
        ]
        connections = [silent.accept() for _ in started]
        for process in started:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(5) for process in started] == [130, 130]
        for connection, _ in connections:
            connection.close()


@pytest.mark.parametrize("sink", ["pipe", "full"])
def test_a_closed_pipe_or_a_full_disk_behind_the_output_ends_nothing(
    federation: Federation, sink: str
) -> None:
    """Lines are dropped; the aggregator lives until it is stopped, and ends as ever."""
    if sink == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    words = ["aggregator", "serve", str(federation.folder / "agg"), "--broker", federation.broker_url]
    command = [sys.executable, "-m", "fedfin", *words, "--json", "--no-keys"]
    process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(5)
    process.terminate()
    _, errors = process.communicate(timeout=5)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_leaves_ends_show_without_a_traceback(
    federation: Federation, options: tuple[str, ...]
) -> None:
    """As `show --json | head` does; the exit code is that of a closed pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "fedfin", "aggregator", "show", federation.folder / "agg", *options]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
