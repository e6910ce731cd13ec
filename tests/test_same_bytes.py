"""A small fixed federation sends, keeps and makes the same bytes, whatever becomes of the code.

Four federations in one process, without a broker. In `trained` and `compressed` sites train: their bytes are the same
where arithmetic is the same, and elsewhere the test is skipped. In `exact` and `exact-moments` sites send fixed binary
fractions: their bytes are the same everywhere. What `exact-moments` solves is not: of its model it pins the rest.

One site comes late and gives its second moments in place of its first training; one is too late with an update, which
is refused or folded into the next round; the aggregator starts anew within a round.

`PYTHONPATH=. python tests/test_same_bytes.py > tests/golden/same_bytes.json` records the digests anew, after a change
that is meant to change bytes. The file to read first is `_Federation.play`.
"""

import contextlib
import hashlib
import json
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.model.model_file import ModelFile, encode_model_file
from fedfin.model.model_spec import CALIBRATION, needs_second_moments, solved_shapes, task_specs
from fedfin.model.second_moment_spec import OTHER_HALF, basis_dim, pack, sent_shapes
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Model, Stage
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol.chain import path
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import encode
from fedfin.protocol.outgoing import Outgoing
from fedfin.protocol.rounds.events import Opened
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.schedule import first_training_round, last_round, task_of
from fedfin.protocol.site.effects import Assemble, Work
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.store.journal import Journal
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.outbox import Outbox, make_outbox
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.update import first_things_first, make_update
from fedfin_edge.cases.dataset import Dataset

GOLDEN = Path(__file__).parent / "golden" / "same_bytes.json"
RUN = "0123456789abcdef"
SITES = {"ash": ("image", "text"), "birch": ("image", "text"), "cedar": ("image",), "dogwood": ("text",)}
WEIGHTS = {
    "ash": 5,
    "birch": 2,
    "cedar": 8,
    "dogwood": 1,
}  # together a power of two: means are binary fractions
LATE, JOINS = "birch", 3  # the round from which this site takes part
SLOW = "cedar"  # its update for the second round of training comes when that has closed
UNTOLD = {"run", "opened", "closed", "arrived"}  # columns that chance or the clock fills
LOSSY = Codec(
    up="half",
    down="small",
    schedule=(
        Stage(from_round=2, up="small", down="balanced"),
        Stage(from_round=3, up="balanced", down="exact"),
    ),
)
DEFAULT = Plan(
    federation="ward",
    labels=("x", "y"),
    modalities=(
        Modality(name="image", encoder="a" * 64, dim=12),
        Modality(name="text", encoder="b" * 64, dim=8),
    ),
    model=Model(basis_total=48),  # of which 28 are random features; the default makes 1160, and the test slow
    rounds=RoundsPlan(count=3, sites=4, min_sites=1),
)
FOLDED = replace(DEFAULT, codec=LOSSY, rounds=replace(DEFAULT.rounds, count=4, late="fold"))
HEAD = Model(answer="head", fin="mlp", fin_width=16, fin_layers=1, head_width=8)
Answer = Callable[[Plan, Work, Tensors, str, Feedback], Outbox]
Floats = NDArray[np.float64]
FINEST = 2**23 - 1  # as many bits as float32 has: more than the fold keeps of such small numbers


def whole(key: str, shape: tuple[int, ...], most: int) -> Floats:
    """Whole numbers from -most to most, from PCG64's raw stream: the same everywhere."""
    source = np.random.PCG64(int.from_bytes(hashlib.sha256(key.encode()).digest(), "big"))
    raw = source.random_raw(int(np.prod(shape))) >> np.uint64(40)
    return (raw % np.uint64(2 * most + 1)).astype(np.float64).reshape(shape) - most


class _Digests:
    """A SHA-256 by name, of all that was added under it."""

    def __init__(self) -> None:
        self._hashes = defaultdict(hashlib.sha256)

    def add(self, name: str, data: bytes) -> None:
        """One more string of bytes."""
        self._hashes[name].update(len(data).to_bytes(8, "big") + data)

    def hex(self) -> dict[str, str]:
        """All of them."""
        return {name: found.hexdigest() for name, found in sorted(self._hashes.items())}


class _Federation:
    """One run of a plan in a folder. `answer` makes the sites' updates."""

    def __init__(self, folder: Path, plan: Plan, answer: Answer) -> None:
        self._plan, self._answer, self._folder = plan, answer, folder / "aggregator"
        self._folder.mkdir()
        self._rounds = Rounds(Journal(self._folder / "journal.sqlite", create=plan, run=RUN))
        self._sites = {name: AgentState(folder / name) for name in SITES}
        for site in self._sites.values():
            site.join(RUN, plan)
        self.digests, self._published = _Digests(), set()

    def play(self) -> dict[str, str]:
        """All rounds; the digests."""
        slow: list[tuple[int, str, Outbox]] = []
        for number in range(1, last_round(self._plan) + 1):
            manifest = self._open(number)
            for waiting in slow:
                self._judge(*waiting)
            slow.clear()
            for name in SITES:
                if number < JOINS and name == LATE:
                    continue
                outbox = self._work(name, manifest)
                if name == SLOW and number == first_training_round(self._plan) + 1:
                    slow.append((number, name, outbox))
                else:
                    self._judge(number, name, outbox)
            if number == first_training_round(self._plan) + 1:
                self._restart()
            self._look()
            self._rounds.close(number, {name: name in {late for _, late, _ in slow} for name in SITES})
            self._rounds.journal.tidy()
            self._look()
        self._finish()
        return self.digests.hex()

    def _open(self, number: int) -> RoundManifest:
        """What the aggregator publishes."""
        at, rounds = self._rounds.position, self._rounds
        assert (at.round, at.finished) == (number, False)
        for part in rounds.parts:
            if (part.kind, part.version) not in self._published:
                self._published.add((part.kind, part.version))
                self.digests.add("down", f"{part.kind} {part.version} ".encode() + part.data)
        machine = RoundMachine(self._plan, run=RUN, max_update_bytes=rounds.max_update_bytes)
        opened = Opened(at.round, at.version, at.model, rounds.parts, {}, {}, roster=rounds.roster)
        machine.receive(opened, 0.0)
        self.digests.add("control.manifest", encode(machine.manifest))
        return machine.manifest

    def _work(self, name: str, manifest: RoundManifest) -> Outbox:
        """A site gets the model and makes its update."""
        site, plan = self._sites[name], self._plan
        if site.model.version is None:
            site.model.make_first(plan)
        if site.model.id != manifest.model:
            known = {(part.kind, part.version): part.data for part in self._rounds.parts}
            way = [(kind, known[kind, part.version]) for kind, part in path(manifest, site.model.version)]
            snapshot = next((data for kind, data in way if kind == "snapshot"), None)
            deltas = tuple(data for kind, data in way if kind == "delta")
            site.model.assemble(Assemble(manifest.version, manifest.model, snapshot, deltas), plan)
        work = first_things_first(
            plan,
            Work(manifest.round, manifest.task, manifest.version),
            gave_second_moments=site.progress.gave_second_moments,
        )
        outbox = self._answer(plan, work, site.model.tensors(plan), name, site.feedback())
        site.put_update(outbox)
        self.digests.add(f"up.{outbox.task}", outbox.payload)
        return outbox

    def _judge(self, number: int, name: str, outbox: Outbox) -> None:
        """The aggregator takes it or not; it takes none twice, and none of a site that did not make it."""
        begin = Outgoing().offer(RUN, number, outbox.payload)
        self.digests.add("control.begin", encode(begin))
        senders = [name, name, "stranger"] if name == "ash" else [name]
        receipts = [
            self._rounds.judge(number, sender, begin.outline.id, outbox.payload) for sender in senders
        ]
        for receipt in receipts:
            self.digests.add("control.receipt", encode(receipt))
        in_time = number == self._rounds.position.round or self._plan.rounds.late == "fold"
        assert [receipt.accepted for receipt in receipts] == [in_time, False, False][: len(receipts)]
        self._sites[name].settle(accepted=receipts[0].accepted)

    def _restart(self) -> None:
        self._rounds.journal.close()
        self._rounds = Rounds(Journal(self._folder / "journal.sqlite"))

    def _look(self) -> None:
        """At all that the aggregator keeps, but the parts, which are published."""
        for table, rows in _tables(self._folder / "journal.sqlite"):
            self.digests.add(f"journal.{table}", rows)
        for kept in sorted(self._folder.iterdir()):
            if kept.is_file() and not kept.name.startswith("journal"):
                self.digests.add(
                    f"files.{kept.name.partition('-')[0]}", kept.name.encode() + kept.read_bytes()
                )

    def _finish(self) -> None:
        """Every site has the aggregator's model."""
        version = self._rounds.position.version
        final = self._rounds.model_file(version)
        self._rounds.journal.close()
        for site in self._sites.values():
            made = ModelFile(self._plan, version, site.model.tensors(self._plan))
            assert encode_model_file(made) == final
        self.digests.add("model", final)
        for tensor, values in made.tensors.items():
            if tensor not in solved_shapes(self._plan):
                self.digests.add("model.unsolved", tensor.encode() + values.tobytes())


def _tables(journal: Path) -> Iterator[tuple[str, bytes]]:
    """Each table's name, and its columns and rows in a fixed order."""
    with contextlib.closing(sqlite3.connect(journal)) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        for (name,) in names:
            cursor = db.execute(f"SELECT * FROM {name}")
            columns = [column for column, *_ in cursor.description]
            rows = sorted(
                repr([value is None if c in UNTOLD else value for c, value in zip(columns, row, strict=True)])
                for row in cursor
            )
            yield name, "\n".join([repr(columns), *rows]).encode()


# Sites that train.


def _cases(plan: Plan, site: str) -> Dataset:
    """Sums of a few whole numbers. Ash has 96 complete cases; of birch's a third is complete."""
    count = {"ash": 96, "birch": 90, "cedar": 50, "dogwood": 40}[site]
    factors = whole(f"{site}/factors", (count, 3), 8)
    kind = np.arange(count) % 3
    features, present = {}, {}
    for modality, dim in plan.dims.items():
        seen = factors @ whole(f"view/{modality}", (3, dim), 4) + whole(
            f"{site}/{modality}", (count, dim), 12
        )
        there = np.full(count, modality in SITES[site])
        if site == "birch":
            there = (kind == 0) | (kind == 1 + list(plan.dims).index(modality))
        features[modality] = np.where(there[:, None], seen / 16 + 1, 0.0).astype(np.float32)
        present[modality] = there
    labels = (factors[:, : len(plan.labels)] + whole(f"{site}/luck", (count, 2), 3) > 0).astype(np.float32)
    labels[whole(f"{site}/unknown", labels.shape, 5) == 0] = np.nan
    held_out, validation = (
        whole(f"{site}/held-out", (count,), 3) == 0,
        whole(f"{site}/validation", (count,), 4) == 0,
    )
    return Dataset(
        features,
        present,
        labels,
        held_out,
        validation=validation,
        second_half=whole(f"{site}/half", (count,), 8) > 0,
    )


def _trained(plan: Plan, work: Work, model: Tensors, site: str, feedback: Feedback) -> Outbox:
    """As the agent has it made (fedfin_edge/agent/worker.py)."""
    quiet = {"report": lambda *_: None, "stop": lambda: False}
    return make_update(plan, work, model, _cases(plan, site), site, feedback.run, feedback, **quiet)


# Sites that send fixed binary fractions.


def _exact(plan: Plan, work: Work, _model: Tensors, site: str, feedback: Feedback) -> Outbox:
    """Of every tensor of the task; in training a fifth of them is left out."""
    key = f"{site}/{work.round}"
    if work.task == "second_moments":
        values = _second_moments(plan, site)
        weights = dict.fromkeys(values, 16)
    else:
        values = {}
        for name, shape in task_specs(plan, work.task).items():
            if work.task == "evaluate":
                values[name] = _histograms(f"{key}/{name}", shape)
            elif work.task != "train" or whole(f"{key}/{name}/sent", (1,), 2)[0]:
                drawn = (whole(f"{key}/{name}", shape, FINEST) / 2**26).astype(np.float32)
                values[name] = drawn if work.task == "train" else _possible(name, drawn)
        weights = dict.fromkeys(values, WEIGHTS[site])
    metrics = {"cases": float(WEIGHTS[site]), "label_loss": float(whole(key, (1,), 99)[0] / 128)}
    return make_outbox(plan, work, site, feedback.run, values, weights, metrics, feedback, {})


def _possible(name: str, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of values below 1/8: what cases can give, still exact. Mean squares are above the square of any mean."""
    if name == CALIBRATION:
        return np.abs(drawn)
    return np.abs(drawn) + np.float32(1 / 64) if name.endswith(".square") else drawn


def _histograms(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A quarter of the cases in one bin of each class, which is the largest of all sites' and keeps the rest exact."""
    shares = np.zeros(shape, np.float32)
    shares[..., 64] = 0.25
    for place, chosen in np.ndenumerate(whole(key, (*shape[:-1], 2), 60)):
        shares[(*place[:-1], 160 + int(chosen))] += 0.125
    return shares


def _second_moments(plan: Plan, site: str) -> Tensors:
    """Of 16 cases each: complete ones of either half, if the site has any, and those with a single modality."""
    rows = {m: whole(f"{site}/basis/{m}", (48, basis_dim(plan, m)), 8) / 8 for m in SITES[site]}
    for basis in rows.values():
        basis[:, 0] = 1.0
    known = whole(f"{site}/known", (48, len(plan.labels)), 2) > -2
    positive = known & (whole(f"{site}/positive", known.shape, 2) > 0)
    values = {}
    for name in sent_shapes(plan):
        kind, population, *pair = name.removeprefix(OTHER_HALF).split(".")
        complete = population == "complete"
        if set(pair) - rows.keys() or (len(rows) < len(plan.dims) if complete else len(set(pair)) > 1):
            continue
        start = 16 * (2 if not complete else name.startswith(OTHER_HALF))
        part = slice(start, start + 16)
        one, other = (rows[m][part] for m in (pair[0], pair[-1]))
        if kind == "labels":
            mean = np.stack([of[part].T.astype(np.float64) @ one for of in (known, positive)], axis=1) / 16
        else:
            mean = one.T @ other / 16
        packed = kind == "second" and pair[0] == pair[1]
        values[name] = (pack(mean) if packed else mean).astype(np.float32)
    return values


TRAINED = {"trained": DEFAULT, "compressed": replace(DEFAULT, codec=LOSSY)}
EXACT = {"exact": replace(FOLDED, model=HEAD), "exact-moments": FOLDED}
# Of a federation that solves: what depends on the model's numbers.
OF_MODEL = {"down", "model", "control.manifest", "journal.version", "journal.part", "journal.owed"}


def _digests(name: str, folder: Path) -> dict[str, str]:
    """A federation's."""
    plan, answer = (TRAINED[name], _trained) if name in TRAINED else (EXACT[name], _exact)
    found = _Federation(folder, plan, answer).play()
    if name in EXACT and needs_second_moments(plan):
        return {of: digest for of, digest in found.items() if of not in OF_MODEL}
    return found


def _arithmetic() -> dict[str, str]:
    """What tells machines apart on which floats come out otherwise."""
    torch.set_num_threads(1)  # as in training
    cases, weight = whole("a", (96, 49), 999) / 37, whole("b", (49, 128), 999) / 2311
    one, other = (torch.from_numpy(values.astype(np.float32)) for values in (cases, weight))
    other.requires_grad_()
    hidden = one @ other
    loss = torch.nn.functional.binary_cross_entropy_with_logits(hidden, (hidden.detach() > 0).float())
    torch.autograd.backward(loss + torch.relu(hidden).square().mean())
    square = cases.T @ cases / 96 + np.eye(49)
    outcomes = [
        hidden.detach().numpy(),
        other.grad.numpy(),
        *(of(hidden.detach()).numpy() for of in (torch.cos, torch.sigmoid, torch.exp, torch.sqrt)),
        torch.softmax(hidden.detach(), dim=1).numpy(),
        square,
        *np.linalg.eigh(square),
        *np.linalg.eigh(square[:25, :25]),
        np.linalg.solve(square, weight),
        *(of(np.abs(cases)) for of in (np.exp, np.log1p, np.tanh, np.sqrt, np.mean)),
        np.einsum("nl,nk->lk", cases, cases),
    ]
    found = hashlib.sha256(b"".join(np.ascontiguousarray(outcome).tobytes() for outcome in outcomes))
    return {"outcomes": found.hexdigest(), "torch": torch.__version__, "numpy": np.__version__}


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, dict[str, str]]]:
    """What `main` printed."""
    return json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", EXACT)
def test_fixed_updates_lead_to_the_same_bytes_everywhere(name: str, tmp_path: Path, recorded) -> None:
    """What sites send, what the aggregator keeps and answers; and the model, where none of it is solved."""
    assert _digests(name, tmp_path) == recorded["digests"][name]


@pytest.mark.parametrize("name", TRAINED)
def test_training_leads_to_the_same_bytes_where_arithmetic_is_the_same(
    name: str, tmp_path: Path, recorded
) -> None:
    """All that sites send, all that the aggregator publishes and keeps, and the final model."""
    if (here := _arithmetic()) != recorded["arithmetic"]:
        pytest.skip(f"floats come out otherwise here ({here}) than where the digests were recorded")
    assert _digests(name, tmp_path) == recorded["digests"][name]


def test_every_task_is_pinned(recorded) -> None:
    """Or a federation would have lost one without a word."""
    for name, plan in (TRAINED | EXACT).items():
        tasks = {task_of(plan, number) for number in range(1, last_round(plan) + 1)}
        assert {f"up.{task}" for task in tasks} == {
            of for of in recorded["digests"][name] if of.startswith("up.")
        }


def main() -> None:
    """Print the digests that the code here and now makes."""
    digests = {}
    for name in (*TRAINED, *EXACT):
        with tempfile.TemporaryDirectory() as folder:
            digests[name] = _digests(name, Path(folder))
    json.dump({"arithmetic": _arithmetic(), "digests": digests}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
