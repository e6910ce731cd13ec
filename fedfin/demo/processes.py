"""The demo's processes: every one is a `fedfin` command, and none outlives the demo."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from fedfin.errors import FedfinError, LinkError

OnEvent = Callable[[str, dict[str, Any]], None]
GRACE_S = 8.0  # between asking a process to end and ending it


class Processes:
    """A context: what was started in it has ended when it is left, however it is left."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop(list(self._running))

    def start(self, name: str, command: Sequence[str], on_event: OnEvent | None = None) -> int:
        """Start `python -m command...`; its process id. With `on_event`, JSON lines on its standard output are told."""
        log = (self._logs / f"{name}.log").open("w", encoding="utf-8")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                text=True,
                stdin=subprocess.DEVNULL,
                stderr=log,
                stdout=log if on_event is None else subprocess.PIPE,
                env=_environment(command[0]),
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops them in order
            )
        self._running[name] = process
        if on_event is not None:
            reader = threading.Thread(target=_read, args=(process, on_event), daemon=True)
            reader.start()
            self._readers.append(reader)
        return process.pid

    def pid(self, name: str) -> int:
        """The process id of one that runs."""
        return self._running[name].pid

    def wait(self, names: Sequence[str]) -> None:
        """Until all of them have ended. Raises FedfinError as soon as one fails."""
        waiting = set(names)
        while waiting:
            for name in sorted(waiting):
                code = self._running[name].poll()
                if code:
                    raise FedfinError(f"{name} ended with exit code {code}: {self._last_line(name)}")
                if code == 0:
                    waiting.discard(name)
            time.sleep(0.1)
        for reader in self._readers:
            reader.join()
        for name in names:
            del self._running[name]

    def stop(self, names: Sequence[str]) -> None:
        """End them: politely first."""
        processes = [self._running.pop(name) for name in names]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        until = time.monotonic() + GRACE_S
        for process in processes:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _last_line(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1]} (log: {path})" if lines else f"see {path}"


def _environment(module: str) -> dict[str, str]:
    """One thread each. Of the folder where the demo is run no file is a module of ours (from Python 3.11 on)."""
    safe = {"PYTHONSAFEPATH": "1"} if module.partition(".")[0] == "fedfin" else {}
    return {**os.environ, "OMP_NUM_THREADS": "1", **safe}


def run_command(arguments: Sequence[str], what: str) -> Mapping[str, Any]:
    """Run one `fedfin ... --json` command to its end; its JSON. Raises FedfinError with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "fedfin", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_environment("fedfin"),
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise FedfinError(
            f"{what} failed (exit code {done.returncode}): {lines[-1] if lines else 'no message'}"
        )
    try:
        answer: Mapping[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {}
    return answer


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(host: str, port: int, seconds: float) -> None:
    """Until somebody listens there. Raises LinkError."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1.0):
            return
        time.sleep(0.1)
    raise LinkError(f"nobody listens on {host}:{port}; is the broker running?")


def _read(process: subprocess.Popen[str], on_event: OnEvent) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            facts = json.loads(line)
            on_event(facts.pop("event"), facts)
