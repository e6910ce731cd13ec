"""What this site has answered: one line for each update that may have left it, in the site's folder beside `state/`.

Whoever may ask the same of the same cases twice learns from the difference. So each round of a run is answered once,
also when `state/` was lost, and another run of the same plan over the same data set needs a person's word.

An update is saved in the outbox first, then its line is written here, then it is offered: whatever is killed when, the
bytes that go out are those of the line, or none.
"""

import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fedfin.errors import StateError
from fedfin.files import flush_folder
from fedfin.limits import LIVES
from fedfin.model.model_spec import Task
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin_edge.cases.patient_digests import KEY_BYTES, PatientDigests
from fedfin_edge.site import Site


class Answer(msgspec.Struct, frozen=True, tag_field="kind", tag="answer"):
    """An update: whose plan and run it is of, what it answers, from which data set, its id, in hex, in which life."""

    plan: str
    run: str
    round: int
    task: Task
    data: str
    update: str
    life: Life = FIRST_LIFE


class Allowed(msgspec.Struct, frozen=True, tag_field="kind", tag="allowed"):
    """A person has said that this run may be answered, whatever was answered before."""

    run: str


class Revealed(msgspec.Struct, frozen=True, tag_field="kind", tag="revealed", omit_defaults=True):
    """Shares of one attempt at a secure sum (its id, in hex) may have left: this site is in no other of the round.

    `sites`: whom the sum holds; `grouped`: who was dealt into groups, where it was opened by groups.
    """

    run: str
    round: int
    attempt: str
    sites: tuple[str, ...] = ()
    grouped: tuple[str, ...] = ()


class Key(msgspec.Struct, frozen=True, tag_field="kind", tag="key"):
    """Under this site's key, in hex, patients are digested: whoever reads the lines alone can guess at nobody."""

    key: str


class Givers(msgspec.Struct, frozen=True):
    """Who gives to all these kinds of sums, and to no others."""

    kinds: tuple[str, ...]
    patients: tuple[str, ...]


class Patients(msgspec.Struct, frozen=True, tag_field="kind", tag="patients"):
    """Whom a data set (its digest) holds, of which secure sums were answered: see cases/patient_digests.py.

    `given` None: an earlier version wrote the line, and did not know it.
    """

    data: str
    digests: dict[str, int]
    given: tuple[Givers, ...] | None = None


Line = Answer | Allowed | Revealed | Key | Patients
_DECODER = msgspec.json.Decoder(Line)


class AnsweredError(StateError):
    """The round was answered already, with another update."""


class Answers:
    """The file. Raises StateError when it is damaged, or cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[Line] = []
        data = path.read_bytes() if path.exists() else b""
        # A line that a crash cut short was not written yet: nothing was offered that depends on it.
        self._size = data.rfind(b"\n") + 1
        try:
            self._lines = _DECODER.decode_lines(data[: self._size])
        except msgspec.MsgspecError:
            raise StateError(
                f"{path} is damaged; restore it from a backup: without it, what this site has answered is not known"
            ) from None

    @property
    def _answers(self) -> list[Answer]:
        return [line for line in self._lines if isinstance(line, Answer)]

    def of(self, run: str) -> list[Answer]:
        """The answers in a run, oldest first."""
        return [answer for answer in self._answers if answer.run == run]

    def rounds(self) -> dict[tuple[str, Life], frozenset[int]]:
        """The rounds that were answered, by run and life."""
        found: dict[tuple[str, Life], set[int]] = {}
        for answer in self._answers:
            found.setdefault((answer.run, answer.life), set()).add(answer.round)
        return {where: frozenset(rounds) for where, rounds in found.items()}

    def allows(self, run: str) -> bool:
        """Whether a person has said that this run may be answered."""
        return Allowed(run) in self._lines

    def another_run(self, plan: str, run: str, data: str) -> str | None:
        """Another run in which the plan (its digest) was answered from the same data set, before `run` ever was."""
        if self.of(run) or self.allows(run):
            return None
        return next((a.run for a in self._answers if (a.plan, a.data) == (plan, data)), None)

    def record(self, answer: Answer, *, anew: bool = False) -> None:
        """Make it durable that this update may leave; again: nothing. Raises StateError for a second, different one.

        `anew`: in another life of the run there may be another one, so many times; never of moments, which are of the
        cases alone.
        """
        known = [line for line in self.of(answer.run) if line.round == answer.round]
        if answer in known:
            return
        for line in known:
            fixed = line.task == answer.task and answer.task in {"moments", "second_moments"}
            if line.update != answer.update and (line.life == answer.life or fixed or not anew):
                raise AnsweredError(
                    f"{self._path}: round {answer.round} was answered already, with another update"
                )
        if self._lives(answer.run, answer.round) >= LIVES:
            raise StateError(
                f"{self._path}: the aggregator was set back {LIVES} times, and asks for round {answer.round} again; ask"
                " the coordinator why. If that is right, `fedfin edge run --again` answers it as often once more"
            )
        self._append(answer)

    def allow(self, run: str) -> None:
        """Make it durable that a person allows this run, or that it goes on where it has had all its lives."""
        if not self.allows(run) or any(self._lives(run, answer.round) >= LIVES for answer in self.of(run)):
            self._append(Allowed(run))

    def _lives(self, run: str, round_: int) -> int:
        """How often a round was answered since a person last allowed the run."""
        allowed = max((place for place, line in enumerate(self._lines) if line == Allowed(run)), default=0)
        return sum((a.run, a.round) == (run, round_) for a in self._lines[allowed:] if isinstance(a, Answer))

    def revealed(self, run: str, round_: int) -> bytes | None:
        """The attempt of which shares may have left."""
        return next((bytes.fromhex(r.attempt) for r in self.reveals(run) if r.round == round_), None)

    def reveals(self, run: str) -> list[Revealed]:
        """Of which sums of a run shares may have left."""
        return [line for line in self._lines if isinstance(line, Revealed) and line.run == run]

    def reveal(
        self, run: str, round_: int, attempt: bytes, sites: tuple[str, ...], grouped: tuple[str, ...] = ()
    ) -> None:
        """Make it durable that shares may leave. Raises StateError for a second attempt of a round."""
        if (known := self.revealed(run, round_)) not in {None, attempt}:
            raise StateError(f"{self._path}: shares of another sum of round {round_} have left already")
        if known is None:
            self._append(Revealed(run, round_, attempt.hex(), sites, grouped))

    @property
    def key(self) -> bytes:
        """This site's own, drawn at its first use."""
        known = next((line for line in self._lines if isinstance(line, Key)), None)
        if known is None:
            known = Key(secrets.token_hex(KEY_BYTES))
            self._append(known)
        return bytes.fromhex(known.key)

    def patients(self) -> Iterator[PatientDigests]:
        """Whom each data set holds, of which secure sums were answered.

        Of every one: were older ones forgotten, whoever asks for enough plans could have one forgotten, and subtract.
        """
        return (_read_patients(line) for line in self._lines if isinstance(line, Patients))

    def remember(self, data: str, patients: PatientDigests) -> None:
        """Make it durable whom a data set holds, and who of them gives to what, before anything of it leaves."""
        own = [line for line in self._lines if isinstance(line, Patients) and line.data == data]
        if all(_read_patients(line) != patients for line in own):
            self._append(Patients(data, dict(patients.contents), _grouped(patients)))

    def _append(self, line: Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        try:
            _append(self._path, self._size, data)
        except OSError as error:
            raise StateError(
                f"{self._path}: cannot write it ({error.strerror}); check the free space"
            ) from None
        self._size += len(data)
        self._lines.append(line)


def allow_run(site: Site, run: str) -> None:
    """A person allows this run at this site. Raises StateError."""
    Answers(site.answers_path).allow(run)


def _grouped(patients: PatientDigests) -> tuple[Givers, ...] | None:
    """Each patient once, however many kinds of sums there are; their order tells nothing."""
    if patients.given is None:
        return None
    kinds: dict[str, list[str]] = defaultdict(list)
    for kind in sorted(patients.given):
        for patient in patients.given[kind]:
            kinds[patient].append(kind)
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for patient in sorted(kinds):
        groups[tuple(kinds[patient])].append(patient)
    return tuple(Givers(of, tuple(who)) for of, who in groups.items())


def _read_patients(line: Patients) -> PatientDigests:
    if line.given is None:
        return PatientDigests(Counter(line.digests))
    given: dict[str, set[str]] = defaultdict(set)
    for group in line.given:
        for kind in group.kinds:
            given[kind].update(group.patients)
    return PatientDigests(Counter(line.digests), {kind: frozenset(who) for kind, who in given.items()})


def _append(path: Path, size: int, data: bytes) -> None:
    """Write after the first `size` bytes; durable once this returns."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
        stream.truncate(size)
        stream.seek(size)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    flush_folder(path.parent)
