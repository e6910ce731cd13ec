"""A site's part in secure sums, as its agent keeps it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from cohort_sites import Sites
from msgspec.structs import replace

from fedfin.codec import compress
from fedfin.errors import ProtocolError, SettingsError, StateError
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds
from fedfin.protocol.messages.secure_sums import Cohort, Consents, Dealt, Ready, Survivors
from fedfin.protocol.payloads import Update, decode_payload, encode_update
from fedfin.protocol.schedule import last_round
from fedfin.secure_sums.masks import WORD
from fedfin.secure_sums.summand import Summand
from fedfin.secure_sums.unmask import unmask
from fedfin.trust.channel import OpenSiteEnd
from fedfin_edge.agent.answers import Answers
from fedfin_edge.agent.explain_update import explain, print_explanation
from fedfin_edge.agent.joining import who_sees
from fedfin_edge.agent.summing import Ledger, Summing

RUN, ATTEMPT, OTHER, MODEL = "1" * 16, b"a" * 16, b"b" * 16, b"m" * 32
KNOWN = np.array([True])  # labels
NAMES = ("s0", "s1", "s2")
WHERE = {"run": RUN, "round": 1, "attempt": ATTEMPT}
CAP = 40
PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=3),),
    model=Model(answer="head", fin="mlp", head_width=0),
    rounds=Rounds(sites=3, min_sites=3),
    privacy=Privacy(level="secure"),
)
SHAPES = task_specs(PLAN, "moments")


def _update(site: str, cases: int) -> bytes:
    values = {name: np.full(shape, 1.5, np.float32) for name, shape in SHAPES.items()}
    return encode_update(
        compress(values, SHAPES, "exact").body,
        dict.fromkeys(SHAPES, cases),
        SHAPES,
        site=site,
        plan=PLAN.digest(),
        run=RUN,
        round_=1,
        task="moments",
        base=0,
        metrics={"cases": float(cases)},
    )


class Cohorts:
    """Three sites' folders, and what an honest aggregator asks of them."""

    def __init__(self, folder: Path, plan: Plan = PLAN) -> None:
        self.folder, self.plan, self.keys = folder, plan, Sites(3)
        self.names = self.keys.names
        self.updates = {name: _update(name, 10 * (2 + number)) for number, name in enumerate(self.names)}
        self.sums = {name: self.again(name) for name in self.names}

    def again(self, name: str) -> Summing:
        """In a new life."""
        end = OpenSiteEnd()
        end.identity, end.roster, end.case_cap = self.keys.identities[name], self.keys.roster, CAP
        place = self.folder / name
        (place / "state").mkdir(parents=True, exist_ok=True)
        ledger = Ledger(PLAN, RUN, place / "state" / "secure-sum.msgpack", Answers(place / "answers.jsonl"))
        return Summing(self.plan, end, name, ledger, RUN, KNOWN)

    def ask(self, question, name: str):
        """One site."""
        return self.sums[name].answer(question, self.updates[name], MODEL)

    def deal(self, attempt: bytes = ATTEMPT):
        """All of them."""
        question = Cohort(run=RUN, round=1, attempt=attempt, names=self.names)
        return {name: self.ask(question, name) for name in self.names}

    def dealt(self, dealings, name: str) -> Dealt:
        """What a site gets of them."""
        keys = {one: dealing.key for one, dealing in dealings.items()}
        shares = {one: dealing.shares[name] for one, dealing in dealings.items() if one != name}
        return Dealt(**WHERE, keys=keys, shares=shares)

    def reveal(self):
        """From the cohort to the shares; dealings, masked values, reveals."""
        dealings = self.deal()
        masked = {name: self.ask(self.dealt(dealings, name), name) for name in self.names}
        consents = {
            name: self.ask(Survivors(**WHERE, names=self.names), name).signature for name in self.names
        }
        asked = Consents(**WHERE, signatures=consents)
        return dealings, masked, {name: self.ask(asked, name) for name in self.names}


def test_a_site_counts_no_more_cases_than_its_charter_grants(tmp_path: Path) -> None:
    """Of 20, 30 and 60 cases at a cap of 40 the sum holds 90, with their values."""
    cohorts = Cohorts(tmp_path)
    cohorts.updates["s2"] = _update("s2", 60)
    dealings, masked, reveals = cohorts.reveal()
    total = sum(np.frombuffer(masked[name].payload[16:], WORD) for name in cohorts.names).astype(np.uint64)
    keys = {name: dealing.key for name, dealing in dealings.items()}
    unmask(total, (RUN, 1, ATTEMPT), cohorts.names, keys, cohorts.names, reveals)
    tensors, _ = Summand(PLAN, "moments").opened(total, {})
    for sum_, weight in tensors.values():
        assert weight == 20 + 30 + CAP
        assert (sum_ == round(1.5 * weight * 2**24)).all()


def test_the_same_question_has_the_same_masked_values(tmp_path: Path) -> None:
    """So that a transfer goes on where it was."""
    cohorts = Cohorts(tmp_path)
    dealt = cohorts.dealt(cohorts.deal(), "s0")
    assert cohorts.ask(dealt, "s0") == cohorts.ask(dealt, "s0")


def test_a_site_that_lost_its_state_still_knows_what_it_revealed(tmp_path: Path) -> None:
    """answers.jsonl is not in state/: the round has no other sum with this site."""
    cohorts = Cohorts(tmp_path)
    cohorts.reveal()
    (tmp_path / "s0" / "state" / "secure-sum.msgpack").unlink()
    cohorts.sums["s0"] = cohorts.again("s0")
    with pytest.raises(ProtocolError, match="may be open already"):
        cohorts.deal(OTHER)


def test_a_site_says_that_it_lost_what_it_is_asked_about(tmp_path: Path) -> None:
    """In a new life it holds no secrets of the attempt; the aggregator need not wait for it."""
    cohorts = Cohorts(tmp_path)
    dealt = cohorts.dealt(cohorts.deal(), "s0")
    cohorts.sums["s0"] = cohorts.again("s0")
    assert cohorts.ask(dealt, "s0") == Ready(run=RUN, round=1, lost=ATTEMPT)


def test_a_damaged_memory_of_a_sum_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    """It is safe to remove: what was revealed is elsewhere."""
    cohorts = Cohorts(tmp_path)
    (tmp_path / "s0" / "state" / "secure-sum.msgpack").write_bytes(b"?")
    with pytest.raises(StateError, match=r"secure-sum\.msgpack is damaged; remove it"):
        cohorts.again("s0")


def test_without_keys_there_are_no_secure_sums(tmp_path: Path) -> None:
    """And the error says how to get some."""
    with pytest.raises(SettingsError, match="needs keys: `fedfin edge request`"):
        Summing(
            PLAN, OpenSiteEnd(), "s0", Ledger(PLAN, RUN, tmp_path / "x", Answers(tmp_path / "y")), RUN, KNOWN
        )


def test_a_charter_that_wants_more_sites_is_obeyed(tmp_path: Path) -> None:
    """Its least_sites hold at the site, whatever the plan says."""
    end = OpenSiteEnd()
    keys = Sites(3)
    end.identity, end.roster, end.least_sites = keys.identities["s0"], keys.roster, 4
    summing = Summing(PLAN, end, "s0", Ledger(PLAN, RUN, tmp_path / "x", Answers(tmp_path / "y")), RUN, KNOWN)
    with pytest.raises(ProtocolError, match="a sum of 3 sites is asked for; plan and charter want 4"):
        summing.answer(Cohort(**WHERE, names=keys.names), _update("s0", 20), MODEL)


def test_explain_update_says_what_travels() -> None:
    """At the level "secure" so many masked words; at "open" the update itself."""
    update = decode_payload(_update("s0", 20), Update)
    words = len(SHAPES) + sum(int(np.prod(shape)) for shape in SHAPES.values()) + 2
    assert explain(update, PLAN)["travels"] == {"words": words, "bytes": 8 * words, "least_sites": 3}
    assert explain(update, replace(PLAN, privacy=Privacy()))["travels"] is None


@pytest.mark.parametrize("level", ["open", "secure"])
def test_explain_update_names_a_codec_only_where_the_update_itself_travels(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Masked words are as long whatever the codec does; and nothing of few cases leaves by itself."""
    update = decode_payload(_update("s0", 20), Update)
    print_explanation(explain(update, replace(PLAN, privacy=Privacy(level=level))))
    shown = " ".join(capsys.readouterr().out.split())
    assert ("as float32 they would take" in shown) == ("float32" in shown) == (level == "open")
    assert ("agree with the coordinator that this may leave" in shown) == (level == "open")
    assert ("this site's part of the sum of" in shown) == (level == "secure")


def test_people_are_told_who_sees_what() -> None:
    """At every start, in one line."""
    assert who_sees(PLAN, 5) == (
        "secure: the aggregator sees sums over 5 sites or more, and no site's part but of what it alone has:"
        " a modality, a pair of them, a label; of what two sites have, each can work out the other's"
    )
    assert who_sees(replace(PLAN, privacy=Privacy()), 1).startswith("OPEN: whoever runs the aggregator sees")
    rounds = replace(PLAN.rounds, sites=9, min_sites=9)
    grouped = replace(PLAN, rounds=rounds, privacy=Privacy(level="secure", groups=3))
    assert "over 9 sites or more, of training over groups of 3 or more, and no" in who_sees(grouped, 1)


def test_a_ledger_refuses_a_second_sum_of_a_round(tmp_path: Path) -> None:
    """Also when it is asked by a Member that has forgotten."""
    ledger = Ledger(PLAN, RUN, tmp_path / "sum", Answers(tmp_path / "answers.jsonl"))
    ledger.reveal(1, ATTEMPT, NAMES)
    again = Ledger(PLAN, RUN, tmp_path / "sum", Answers(tmp_path / "answers.jsonl"))
    assert (again.revealed(1), again.revealed(2)) == (ATTEMPT, None)
    again.reveal(1, ATTEMPT, NAMES)
    with pytest.raises(StateError, match="another sum of round 1"):
        again.reveal(1, OTHER, NAMES)
    assert len(msgspec.json.Decoder().decode_lines((tmp_path / "answers.jsonl").read_bytes())) == 1


def test_a_ledger_remembers_whom_sums_of_statistics_hold(tmp_path: Path) -> None:
    """Also in its next life; training is compared with nothing, and another run's sums count for that run."""
    ledger = Ledger(PLAN, RUN, tmp_path / "sum", Answers(tmp_path / "answers.jsonl"))
    training, evaluation = 2, last_round(PLAN)
    ledger.reveal(1, ATTEMPT, NAMES)
    ledger.reveal(training, OTHER, (*NAMES, "s3"))
    again = Ledger(PLAN, RUN, tmp_path / "sum", Answers(tmp_path / "answers.jsonl"))
    assert again.grouped == NAMES
    assert again.beside(evaluation) == [frozenset(NAMES)]
    assert again.beside(1) == again.beside(training) == []
    assert (
        Ledger(PLAN, "2" * 16, tmp_path / "sum", Answers(tmp_path / "answers.jsonl")).beside(evaluation) == []
    )


def test_a_ledger_remembers_who_was_dealt_into_groups(tmp_path: Path) -> None:
    """Those of the first sum; where it did not help to open that, those of the first that it opened by groups."""
    ledger = Ledger(PLAN, RUN, tmp_path / "sum", Answers(tmp_path / "answers.jsonl"))
    assert ledger.grouped == ()
    ledger.reveal(2, ATTEMPT, NAMES, (*NAMES, "s3"))
    again = Ledger(PLAN, RUN, tmp_path / "sum", Answers(tmp_path / "answers.jsonl"))
    assert again.grouped == (*NAMES, "s3")
