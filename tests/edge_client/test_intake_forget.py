"""`fedfin edge forget`: nothing of a study is left, not even in free pages."""

import os
import signal
import sqlite3

import pytest
from intake_kit import RULE, case_id, cases_of, make_site, open_service, oru, studies, take

from fedfin.command_line.main import main
from fedfin.lock import only_process
from fedfin_edge.cases import feature_store
from fedfin_edge.cases.digests import digest_input
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.batch import Batch
from fedfin_edge.intake.case_table import read_cases
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.freeze import freeze
from fedfin_edge.intake.mllp import Mllp
from fedfin_edge.intake_settings import Listener
from fedfin_edge.site import open_site

ONE, TWO, THREE, _, FOUR, _, FIVE = studies(7)  # the last two of other patients than the first three


@pytest.fixture
def site(tmp_path, bundles):
    """A hospital with three studies; the first two are one patient's."""
    site = make_site(tmp_path / "site", bundles, RULE + '\n[intake.labels]\ntable = "labels.csv"\n')
    (site.folder / "labels.csv").write_text(f"accession,effusion,mass\n{ONE.accession},1,0\n")
    take(
        site,
        [each.view() for each in (ONE, TWO, THREE)],
        [oru(ONE, "effusion", minute=1), oru(TWO, "clear", minute=1)],
    )
    cases_of(site)
    return site


def traces(site, study):
    """All that could tell of this study: hashes of its identity, digests of its inputs, its features."""
    folder = open_intake(site)
    identity = folder.identity
    found = [identity.hash("accession", study.accession), identity.hash("study", study.uid)]
    with folder.open_store() as store, FeatureStore(site.features_path) as features:
        images = [image for image in store.images() if image.accession == found[0]]
        reports = [report for report in store.reports() if report.accession == found[0]]
        found += [image.object for image in images]
        found += [record.digest for record in (*images, *reports)]
        for digest, vector in features._database.execute("SELECT input, vector FROM features"):
            if digest in {digest_input(kept) for kept in kept_of(images, reports)}:
                found += [digest, vector]
    return found


def kept_of(images, reports):
    """Their inputs."""
    from fedfin_edge.cases.digests import Kept

    return [Kept("image", each.digest) for each in images] + [Kept("text", each.digest) for each in reports]


def everything(site):
    """All bytes of all files of the site; digests also as they are written in text."""
    return b"".join(path.read_bytes() for path in sorted(site.folder.rglob("*")) if path.is_file())


def is_there(trace, content):
    """In bytes or in hex."""
    return trace in content or trace.hex().encode() in content


def test_no_byte_of_a_forgotten_study_is_left_in_any_file(site, capsys):
    wanted = traces(site, ONE)
    assert len(wanted) == 9
    assert all(is_there(trace, everything(site)) for trace in wanted)
    assert main(["edge", "forget", str(site.folder), ONE.accession]) == 0
    said = capsys.readouterr().out
    assert (
        "forgotten: 1 images and 1 reports with their features, 2 labels, 0 files of the spool, 1 of the cases"
        in said
    )
    assert f"still counts them: run `fedfin edge encode {site.folder}`" in said
    assert "labels.csv; take its row out there, too" in said
    assert ONE.accession not in said
    assert [trace for trace in wanted if is_there(trace, everything(site))] == []
    assert case_id(site, ONE.accession) not in cases_of(site)
    assert case_id(site, TWO.accession) in cases_of(site)


def test_a_forgotten_patient_takes_all_studies_along(site):
    wanted = traces(site, ONE) + traces(site, TWO)
    assert main(["edge", "forget", str(site.folder), "--patient", ONE.patient]) == 0
    assert [trace for trace in wanted if is_there(trace, everything(site))] == []
    assert list(cases_of(site)) == [case_id(site, THREE.accession)]


def test_what_others_need_stays(site, bundles):
    """Two patients with the same words share features."""
    take(site, [], [oru(THREE, "clear", minute=1)])
    assert main(["edge", "forget", str(site.folder), TWO.accession]) == 0
    assert sorted(cases_of(site)[case_id(site, THREE.accession)][1]) == ["image", "text"]


def test_what_waits_in_the_spool_is_forgotten_too(site):
    with open_service(site) as service:
        service._reception.take_object(ONE.view("AP"))
        service._reception.take_object(THREE.view("AP"))
        assert main(["edge", "forget", str(site.folder), ONE.accession]) == 0
        assert len(service._spool.waiting()) == 1


def test_features_of_what_waits_that_a_kill_left_without_a_record_go_too(site):
    """Killed between the two stores: the image and the report wait, and their features are here already."""
    before = features(site)
    if not (child := os.fork()):
        kill_between_the_stores(site)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert features(site) == before + 2
    assert forget(site, FOUR.accession) == 0
    assert features(site) == before
    assert list((site.intake_path / "spool").iterdir()) == []


def kill_between_the_stores(site):
    """Take a study, in this process, which does not outlive it."""
    Batch.keep = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    try:
        take(site, [FOUR.view()], [oru(FOUR, "a word of its own", minute=1)])
    finally:
        os._exit(1)


def test_what_a_kill_left_half_written_goes_too(site):
    """An image that was never acknowledged, and the case table that `encode` had not finished."""
    image = ONE.view("AP")
    pixels = image[-1000:]
    assert killed_while_it_writes(lambda: open_service(site).__enter__()._reception.take_object(image))
    assert killed_while_it_writes(lambda: freeze(site))
    wanted = [case_id(site, ONE.accession).encode(), pixels]
    assert all(each in everything(site) for each in wanted)
    assert forget(site, ONE.accession) == 0
    assert [each for each in wanted if each in everything(site)] == []


def killed_while_it_writes(work) -> bool:
    """By a process of its own, before the first flush of a file."""
    if not (child := os.fork()):
        os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        try:
            work()
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_features_of_what_waits_stay_where_another_study_has_them(site):
    with open_service(site) as service:
        mllp = Mllp(Listener(port=1), service._folder.settings.oru, site.folder, service._reception)
        mllp.answer(oru(FOUR, "effusion", minute=1))
        assert forget(site, FOUR.accession) == 0
    assert sorted(cases_of(site)[case_id(site, ONE.accession)][1]) == ["image", "text"]


def forget(site, *words):
    """By the command."""
    return main(["edge", "forget", str(site.folder), *words])


def only_study(study, minute=2):
    """A report that names no accession number."""
    return oru(study, "lungs", minute=minute, names_study=True)


def test_what_waits_and_names_only_the_study_is_forgotten_with_its_accession_number(site):
    """Whether the image that names both is kept already, or waits too."""
    take(site, [FOUR.view()])
    with open_service(site) as service:
        mllp = Mllp(Listener(port=1), service._folder.settings.oru, site.folder, service._reception)
        mllp.answer(only_study(FOUR))
        service._reception.take_object(FIVE.view())
        mllp.answer(only_study(FIVE))
        assert forget(site, FOUR.accession) == 0
        assert len(service._spool.waiting()) == 2
        assert forget(site, FIVE.accession) == 0
        assert service._spool.waiting() == []


def test_a_patients_studies_that_only_wait_are_barred_too_and_their_labels_go(site, capsys):
    (site.folder / "labels.csv").write_text(f"accession,effusion,mass\n{FOUR.accession},1,0\n")
    with open_service(site) as service:
        service.once()
        service._reception.take_object(FOUR.view())
        assert forget(site, "--patient", FOUR.patient, "--bar") == 0
    said = capsys.readouterr().out
    assert "forgotten: 0 images and 0 reports with their features, 2 labels, 1 files of the spool" in said
    assert "other studies of this patient are" in said
    take(site, [FOUR.view()], [only_study(FOUR)])
    assert case_id(site, FOUR.accession) not in cases_of(site)
    assert len(cases_of(site)) == 3
    assert labels(site) == 0


def labels(site) -> int:
    """How many the store has."""
    with open_intake(site).open_store() as store:
        return len(store.labels())


@pytest.mark.parametrize("words", [[FOUR.accession], ["--patient", FOUR.patient]])
def test_a_barred_study_stays_out_also_where_only_its_uid_is_named(site, words):
    take(site, [FOUR.view()], [only_study(FOUR)])
    assert sorted(cases_of(site)[case_id(site, FOUR.accession)][1]) == ["image", "text"]
    assert forget(site, *words, "--bar") == 0
    take(site, [FOUR.view("AP", AccessionNumber="")], [only_study(FOUR, minute=9)])
    assert len(cases_of(site)) == 3
    assert features(site) == 5  # nor do theirs stay behind


def features(site) -> int:
    """Of how many inputs they are here."""
    with FeatureStore(site.features_path) as store:
        return store._database.execute("SELECT count(*) FROM features").fetchone()[0]


def test_a_fixed_case_that_was_known_by_its_study_alone_goes_with_the_accession_number(site):
    take(site, [], [only_study(FOUR)])
    assert len(cases_of(site)) == 4
    take(site, [FOUR.view()])
    assert forget(site, FOUR.accession) == 0
    assert len(read_cases(open_site(site.folder))) == 3


def test_an_image_without_a_patient_goes_with_the_patient_of_its_case_and_no_other_patients_does(site):
    take(site, [FOUR.view(), FOUR.view("AP", PatientID=""), THREE.view("AP", PatientID="OTHER")])
    assert forget(site, "--patient", FOUR.patient) == 0
    with open_intake(site).open_store() as store:
        left = [image.patient for image in store.images()]
    assert None not in left
    assert open_intake(site).identity.hash("patient", "OTHER") in left


@pytest.mark.parametrize("bar", [False, True])
def test_what_comes_again_is_taken_again_unless_it_is_barred(site, bar):
    assert main(["edge", "forget", str(site.folder), ONE.accession, *(["--bar"] if bar else [])]) == 0
    take(site, [ONE.view()], [oru(ONE, "effusion", minute=1)])
    assert (case_id(site, ONE.accession) in cases_of(site)) is not bar
    assert features(site) == (3 if bar else 5)  # nor do its features stay behind


@pytest.mark.parametrize("option", [[], ["--bar"], ["--patient"]])
def test_forgetting_what_is_not_here_says_so_and_a_script_can_tell(site, capsys, option):
    assert main(["edge", "forget", str(site.folder), "NOBODY", *option]) == 1
    assert "nothing of it is here" in capsys.readouterr().out


def test_labels_of_a_study_that_never_came_are_something_to_forget(site, capsys):
    (site.folder / "labels.csv").write_text("accession,effusion,mass\nLATER,1,0\n")
    take(site)
    assert main(["edge", "forget", str(site.folder), "LATER"]) == 0
    assert "0 reports with their features, 2 labels" in capsys.readouterr().out
    assert main(["edge", "forget", str(site.folder), "LATER"]) == 1


@pytest.mark.parametrize("file", ["encoder.onnx", "manifest.json"])
def test_a_damaged_bundle_keeps_nobody_from_forgetting_or_looking(site, capsys, file):
    damaged = site.bundle_path("image") / file
    whole = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    try:
        assert main(["edge", "forget", str(site.folder), ONE.accession]) == 0
        assert main(["edge", "intake", str(site.folder), "--show"]) == 0
        assert "2 cases of 2 patients" in capsys.readouterr().out
        assert main(["edge", "intake", str(site.folder), "--once"]) == 5
    finally:
        damaged.write_bytes(whole)


def test_a_program_that_holds_on_to_the_log_is_named_and_forgetting_again_ends_it(site, capsys, monkeypatch):
    monkeypatch.setattr(feature_store, "WAIT_S", 0.1)
    wanted = traces(site, ONE)
    with sqlite3.connect(site.features_path, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM features").fetchone()
        assert main(["edge", "forget", str(site.folder), ONE.accession]) == 9
        assert "another program is reading it: run this again" in capsys.readouterr().err
        reader.execute("COMMIT")
    reader.close()
    assert main(["edge", "forget", str(site.folder), ONE.accession]) == 1  # all that was left were free pages
    assert [trace for trace in wanted if is_there(trace, everything(site))] == []


@pytest.mark.parametrize("bar", [False, True])
def test_what_a_source_had_is_forgotten_too_and_comes_back_unless_it_is_barred(tmp_path, bundles, bar):
    folder = tmp_path / "in"
    folder.mkdir()
    site = make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{folder}"\n')
    for name, data in {"1": ONE.view(), "2": TWO.view(), "3.hl7": oru(ONE, "clear", minute=1)}.items():
        (folder / name).write_bytes(data)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    take(site)
    assert marks(site) == 3
    assert main(["edge", "forget", str(site.folder), ONE.accession, *(["--bar"] if bar else [])]) == 0
    assert marks(site) == 1
    take(site)
    assert sorted(cases_of(site)) == sorted(
        case_id(site, each.accession) for each in ((TWO,) if bar else (ONE, TWO))
    )


def test_a_file_that_tells_of_several_studies_is_taken_again_when_one_of_them_was_forgotten(
    tmp_path, bundles
):
    """Whichever of them comes first in it."""
    folder = tmp_path / "in"
    folder.mkdir()
    site = make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.folder]\npath = "{folder}"\n')
    (folder / "two.hl7").write_bytes(oru(ONE, "clear", minute=1) + oru(TWO, "effusion", minute=1))
    os.utime(folder / "two.hl7", (1_700_000_000, 1_700_000_000))
    take(site)
    for study in (ONE, TWO):
        assert forget(site, study.accession) == 0
        assert marks(site) == 0
        take(site)
        assert sorted(cases_of(site)) == sorted(case_id(site, each.accession) for each in (ONE, TWO))


def test_what_forgetting_does_not_reach_is_named(site, capsys):
    """Only where it is there: a run at work, and what the site has answered."""
    assert forget(site, ONE.accession) == 0
    said = capsys.readouterr().out
    assert "answers.jsonl" not in said
    assert "restart it" not in said
    site.answers_path.touch()
    with only_process(site.folder, "fedfin edge run"):
        assert forget(site, TWO.accession) == 0
    said = capsys.readouterr().out
    assert f"`fedfin edge run {site.folder}` is at work and keeps in memory what it read: restart it" in said
    assert "answers.jsonl, with keyed digests" in said


def marks(site) -> int:
    """Of how many things the store knows that it has seen them."""
    with open_intake(site).open_store() as store, store._database.transaction() as database:
        return database.execute("SELECT count(*) FROM seen").fetchone()[0]


def test_of_a_site_with_a_table_it_says_what_to_do_and_that_leaves_nothing(maker, capsys):
    """By its own words: the rows, the features, `encode`."""
    rows = [
        {"case": "a", "patient": "p", "image": "", "text": "mary has a mass", "effusion": 1},
        {"case": "b", "patient": "q", "image": "", "text": "clear lungs", "effusion": 0},
    ]
    table = maker.table(rows)
    site = maker.site(table)
    assert forget(site, "--patient", "p") == 3
    said = capsys.readouterr().err
    assert all(str(each) in said for each in (table, site.features_path, f"fedfin edge encode {site.folder}"))
    assert main(["edge", "encode", str(site.folder)]) == 0
    assert features(site) == 2
    table.write_text(
        "".join(line for line in table.read_text().splitlines(keepends=True) if "mary" not in line)
    )
    site.features_path.unlink()
    assert main(["edge", "encode", str(site.folder)]) == 0
    assert features(site) == 1
