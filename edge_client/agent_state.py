"""What a site's agent must remember across a restart, as files in the site's `state/` folder.

    plan.json            the federation's plan
    progress.json        the run, and the last round that has a receipt
    model.msgpack        the newest global model, as it arrived
    outbox.msgpack       an update without a receipt yet: saved before it is sent
    last-update.msgpack  the last update that has one, for `fedfin edge explain-update`
    final.fedfin         the final model

Each file is replaced as a whole, so a crash leaves the old one or the new one.
"""

import hashlib
from pathlib import Path

import msgspec

from fedfin.errors import ProtocolError, StateError
from fedfin.files import write_atomically
from fedfin.plan import Plan
from fedfin.protocol.payloads import Update, decode_payload

JOIN = "`fedfin edge run` takes part and makes updates"


class Progress(msgspec.Struct, frozen=True):
    """How far the site is in which run."""

    run: str = ""
    settled: int = 0


class AgentState:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._plan = folder / "plan.json"
        self._progress = folder / "progress.json"
        self._model = folder / "model.msgpack"
        self._outbox = folder / "outbox.msgpack"
        self._last = folder / "last-update.msgpack"
        self.final_path = folder / "final.fedfin"

    @property
    def progress(self) -> Progress:
        """How far the site is. Raises StateError when the file is damaged."""
        if not self._progress.exists():
            return Progress()
        try:
            return msgspec.json.decode(self._progress.read_bytes(), type=Progress)
        except msgspec.MsgspecError:
            raise StateError(f"{self._progress} is damaged; remove {self.folder} to join afresh") from None

    def join(self, run: str, plan: Plan) -> None:
        """Remember the run and its plan; what belongs to another one is dropped."""
        if self.progress.run != run:
            for path in (self._outbox, self._last):
                path.unlink(missing_ok=True)
            write_atomically(self._plan, msgspec.json.encode(plan))
            self._save(Progress(run))

    def plan(self) -> Plan:
        """The plan of the run that this site takes part in. StateError when there is none, or it is damaged."""
        try:
            return msgspec.json.decode(self._plan.read_bytes(), type=Plan)
        except FileNotFoundError:
            raise StateError(f"{self.folder}: this site has not taken part yet; {JOIN}") from None
        except msgspec.MsgspecError:
            raise StateError(f"{self._plan} is damaged; remove {self.folder} to join afresh") from None

    def keep_model(self, payload: bytes) -> None:
        """Replace the kept global model."""
        write_atomically(self._model, payload)

    def model(self) -> bytes:
        """The kept global model's payload; empty when there is none."""
        return self._model.read_bytes() if self._model.exists() else b""

    def model_id(self) -> bytes:
        """SHA-256 of the kept global model; empty when there is none."""
        payload = self.model()
        return hashlib.sha256(payload).digest() if payload else b""

    def put_update(self, payload: bytes) -> None:
        """Save an update before it is sent."""
        write_atomically(self._outbox, payload)

    def update(self, round_: int, base: int) -> bytes | None:
        """The update of this round that was saved before a crash, if any."""
        if not self._outbox.exists():
            return None
        payload = self._outbox.read_bytes()
        try:
            update = decode_payload(payload, Update)
        except ProtocolError:
            return None
        return payload if (update.round, update.base) == (round_, base) else None

    def settle(self, round_: int) -> None:
        """The round has its receipt. Progress first: a crash in between only leaves an outbox nobody asks for."""
        self._save(Progress(self.progress.run, round_))
        if self._outbox.exists():
            self._outbox.replace(self._last)

    def last_update(self) -> Update:
        """The newest update: waiting for its receipt, or the last that has one. StateError if none, or damaged."""
        path = self._outbox if self._outbox.exists() else self._last
        if not path.exists():
            raise StateError(f"{self.folder}: no update was made yet; {JOIN}")
        try:
            return decode_payload(path.read_bytes(), Update)
        except ProtocolError:
            raise StateError(f"{path} is damaged; remove it: the next round makes a new one") from None

    def _save(self, progress: Progress) -> None:
        write_atomically(self._progress, msgspec.json.encode(progress))
