"""The intake: what comes in, in any order, becomes the right cases; only features and keyed hashes stay."""

import random
import re
from dataclasses import replace

import pytest
from edge_sites import edge
from intake_kit import (
    RULE,
    Study,
    case_id,
    cases_of,
    encode_image,
    encode_text,
    make_site,
    open_service,
    oru,
    patient_id,
    studies,
    take,
)

from fedfin.command_line.main import main
from fedfin.errors import FedfinError, SettingsError, StateError
from fedfin_edge.cases.dataset import load_dataset
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.join import join
from fedfin_edge.intake.records import ImageRecord
from fedfin_edge.site import open_site

ONE, TWO, THREE, FOUR = studies(4)


@pytest.fixture
def site(tmp_path, bundles):
    """A hospital that nothing was sent to yet."""
    return make_site(tmp_path / "site", bundles)


def test_an_image_and_its_report_become_one_case_with_the_features_that_files_would_have(
    site, bundles, tmp_path
):
    take(site, [ONE.view()], [oru(ONE, "effusion", minute=1)])
    assert cases_of(site) == {
        case_id(site, ONE.accession): (
            patient_id(site, ONE.patient),
            {
                "image": encode_image(bundles["image"], ONE.view(), tmp_path),
                "text": encode_text(bundles["text"], "effusion"),
            },
            {},
        )
    }


def test_an_image_that_is_sent_again_and_does_not_count_any_more_goes_with_its_features(site):
    """As where the archive marks later that a name is burned in; and it comes back when that is mended."""
    marked = ONE.view(BurnedInAnnotation="YES")
    take(site, [ONE.view(), TWO.view()])
    counts = take(site, [marked])
    assert (counts["image: has burned-in annotation"], counts["image: withdrawn"]) == (1, 1)
    assert list(cases_of(site)) == [case_id(site, TWO.accession)]
    with FeatureStore(site.features_path) as features:
        assert features._database.execute("SELECT count(*) FROM features").fetchone() == (1,)
    take(site, [ONE.view(), marked])  # it waits, and nothing of it is here yet
    take(site, [ONE.view(seed=9), marked, ONE.view(seed=8), marked])
    assert len(cases_of(site)) == 1
    take(site, [ONE.view()])
    take(site, [marked, ONE.view(seed=9)])  # of one batch the last counts
    assert len(cases_of(site)) == 2


@pytest.mark.parametrize("order", range(4))
def test_any_order_of_arrival_makes_the_same_cases(site, bundles, order):
    objects = [each.view(view) for each in (ONE, TWO, THREE) for view in ("PA", "AP", "LL")]
    messages = [
        oru(ONE, "clear", minute=1),
        oru(ONE, "effusion", minute=5, status="C"),
        oru(TWO, "effusion", minute=2),
        oru(TWO, "", minute=3, status="X"),
        oru(FOUR, "clear", minute=1),
        oru(FOUR, "effusion", minute=9, names_study=True),
    ]
    take(site, objects, messages, order=order)
    cases = cases_of(site)
    assert {name: sorted(features) for name, (_, features, _) in cases.items()} == {
        case_id(site, ONE.accession): ["image", "text"],
        case_id(site, TWO.accession): ["image"],
        case_id(site, THREE.accession): ["image"],
        case_id(site, FOUR.accession): ["text"],
        open_intake(site).identity.hash("study", FOUR.uid).hex(): ["text"],
    }
    assert cases[case_id(site, ONE.accession)][1]["text"] == encode_text(bundles["text"], "effusion")


def test_a_second_sending_changes_nothing(site):
    objects = [ONE.view(), TWO.view()]
    messages = [oru(ONE, "clear", minute=1), oru(ONE, "effusion", minute=5, status="C")]
    take(site, objects, messages)
    first, size = cases_of(site), number_of_features(site)
    take(site, objects, messages, order=1)
    assert cases_of(site) == first
    assert number_of_features(site) == size == 3  # two images, one text: the former version's are gone


def number_of_features(site):
    """How many vectors the feature store has."""
    with FeatureStore(site.features_path) as store:
        return store._database.execute("SELECT count(*) FROM features").fetchone()[0]


def test_a_report_that_names_only_the_study_finds_its_image(site):
    take(site, [], [oru(ONE, "clear", minute=1, names_study=True)])
    take(site, [ONE.view()])
    ((name, (_, features, _)),) = cases_of(site).items()
    assert name == case_id(site, ONE.accession)
    assert sorted(features) == ["image", "text"]


@pytest.mark.parametrize(("status", "part"), [("X", ""), ("F", "W"), ("F", "D"), ("F", "X")])
def test_a_withdrawn_report_goes_and_its_features_too(site, status, part):
    take(site, [ONE.view()], [oru(ONE, "effusion", minute=1)])
    take(site, [], [oru(ONE, "effusion", minute=2, status=status, part=part)])
    assert [sorted(features) for _, features, _ in cases_of(site).values()] == [["image"]]
    assert number_of_features(site) == 1


def test_a_report_that_is_final_again_after_its_withdrawal_counts(site):
    withdrawn = oru(ONE, "", minute=2, status="X")
    take(site, [], [oru(ONE, "effusion", minute=3), withdrawn, oru(ONE, "clear", minute=1)])
    assert [sorted(features) for _, features, _ in cases_of(site).values()] == [["text"]]


@pytest.mark.parametrize("status", ["P", "R", "S", "I"])
def test_what_is_not_final_is_acknowledged_and_not_taken(site, status):
    take(site, [ONE.view()], [oru(ONE, "effusion", minute=1, status=status)])
    assert [sorted(features) for _, features, _ in cases_of(site).values()] == [["image"]]


def test_of_several_images_that_count_the_first_by_rule_series_and_number_does(site, bundles, tmp_path):
    late, early = ONE.view("AP", seed=7, InstanceNumber=9), ONE.view("PA", seed=8, InstanceNumber=2)
    for objects in ([late, early], [early, late]):
        take(site, objects)
        ((_, features, _),) = cases_of(site).values()
        assert features["image"] == encode_image(bundles["image"], early, tmp_path)


def test_a_report_about_another_patient_than_the_image_is_left_out(site):
    other = Study(ONE.number, ONE.accession, "SOMEBODY")
    take(site, [ONE.view()], [oru(other, "effusion", minute=1)])
    ((patient, features, _),) = cases_of(site).values()
    assert (patient, sorted(features)) == (patient_id(site, ONE.patient), ["image"])


def test_an_image_of_another_patient_under_the_same_accession_number_is_left_out_and_counted(site, capsys):
    take(site, [ONE.view(), Study(7, ONE.accession, "SOMEBODY").view(InstanceNumber=2)])
    ((patient, _, _),) = cases_of(site).values()
    assert patient == patient_id(site, ONE.patient)
    assert main(["edge", "intake", str(site.folder), "--show"]) == 0
    assert "another patient than the first of their case: 1\n" in capsys.readouterr().out


def test_an_image_of_another_patient_gives_a_case_no_other_modality():
    first = ImageRecord(b"1", None, b"a", b"p", "image", 0, 1, 1, b"first")
    images = [first, replace(first, object=b"2", patient=b"q", modality="lateral", rule=1)]
    joined = join(images, [], [], reports_as=None)
    assert [sorted(case.inputs) for case in joined.cases.values()] == [["image"]]


def test_the_patients_side_of_every_split_stays_the_same_as_cases_come(site, make_plan):
    sides = {}
    for number in (8, 16, 64):  # with fewer patients none may be held out
        take(site, [each.view() for each in studies(number)])
        cases_of(site)
        data = load_dataset(site, make_plan())
        patients = [patient for patient, _, _ in cases_of(site).values()]
        now = dict(zip(patients, data.held_out.tolist(), strict=True))
        assert now.items() >= sides.items()
        sides = now
    assert set(sides.values()) == {True, False}


def test_the_cases_of_a_run_stay_as_they_are_until_they_are_fixed_anew(site, make_plan):
    take(site, [ONE.view()], [oru(ONE, "clear", minute=1)])
    cases_of(site)
    before = load_dataset(site, make_plan()).digest()
    take(site, [TWO.view(), ONE.view(seed=99)], [oru(ONE, "effusion", minute=5, status="C")])
    assert load_dataset(site, make_plan()).digest() == before
    cases_of(site)
    assert load_dataset(site, make_plan()).digest() != before
    assert number_of_features(site) == 3  # what only the former cases had is gone now


def test_labels_come_from_a_table_by_accession_number_and_change_with_it(tmp_path, bundles):
    site = make_site(tmp_path / "site", bundles, RULE + '\n[intake.labels]\ntable = "labels.csv"\n')
    table = site.folder / "labels.csv"
    table.write_text(f"accession,effusion,mass\n{ONE.accession},1,0\n{TWO.accession},,1\nNOBODY,1,1\n")
    take(site, [ONE.view(), TWO.view()])
    labels = {name: labels for name, (_, _, labels) in cases_of(site).items()}
    assert labels == {
        case_id(site, ONE.accession): {"effusion": 1, "mass": 0},
        case_id(site, TWO.accession): {"mass": 1},
    }
    table.write_text(f"accession,effusion,mass\n{ONE.accession},0,\n")
    take(site)
    assert [labels for _, _, labels in cases_of(site).values() if labels] == [{"effusion": 0}]


def test_a_label_on_which_two_rows_contradict_each_other_is_unknown(tmp_path, bundles):
    """In a table as Excel saves it: a byte-order mark, semicolons, quotes."""
    site = make_site(tmp_path / "site", bundles, RULE + '\n[intake.labels]\ntable = "labels.csv"\n')
    rows = [f'"{ONE.accession}";1;0', f'"{ONE.accession}";1;1', f'"{TWO.accession}";"1";']
    text = "\r\n".join(["accession;effusion;mass", *rows, ""])
    (site.folder / "labels.csv").write_bytes(text.encode("utf-8-sig"))
    take(site, [ONE.view(), TWO.view()])
    assert [labels for _, _, labels in cases_of(site).values()] == [{"effusion": 1}, {"effusion": 1}]


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("A-4711,Doe,0", r"has no column 'accession', 'effusion', 'mass'; correct intake\.labels"),
        ("A-4711,Doe,Doe", "columns 2 and 3 have the same name"),
    ],
)
def test_a_table_of_labels_without_a_header_is_refused_without_a_word_of_it(tmp_path, bundles, first, words):
    site = make_site(tmp_path / "site", bundles, RULE + '\n[intake.labels]\ntable = "labels.csv"\n')
    (site.folder / "labels.csv").write_text(f"{first}\nA-4712,Roe,1\n")
    with pytest.raises(FedfinError, match=words) as caught:
        take(site)
    assert not re.search("A-47|Doe", str(caught.value))


def test_labels_of_which_there_is_no_case_are_counted(tmp_path, bundles, capsys):
    site = make_site(tmp_path / "site", bundles, RULE + '\n[intake.labels]\ntable = "labels.csv"\n')
    rows = [
        f"{ONE.accession},1,0",
        f"00{TWO.accession},1,0",
        f"00{THREE.accession},1,",
        f"{FOUR.accession},,",
    ]
    (site.folder / "labels.csv").write_text("\n".join(["accession,effusion,mass", *rows, ""]))
    take(site, [each.view() for each in (ONE, TWO, THREE, FOUR)])
    assert main(["edge", "intake", str(site.folder), "--show"]) == 0
    assert "accession numbers with labels of which there is no case: 2\n" in capsys.readouterr().out


def test_with_the_key_lost_nothing_is_taken_and_the_remedy_is_named(site):
    take(site, [ONE.view()])
    (site.intake_path / "intake.key").unlink()
    with pytest.raises(StateError, match=r"intake\.key: cannot read .* put it back from your backup"):
        take(site, [TWO.view()])
    (site.intake_path / "intake.key").write_bytes(bytes(32))
    with pytest.raises(StateError, match="was made with another"):
        take(site, [TWO.view()])


def test_the_key_and_all_files_are_for_the_user_alone(site):
    take(site, [ONE.view()], [oru(ONE, "clear", minute=1)])
    cases_of(site)
    for path in site.intake_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_image_that_cannot_be_decoded_is_left_out_with_its_reason_and_the_rest_goes_on(site):
    broken = ONE.view(Rows=64)
    counts = take(site, [broken, TWO.view()])
    assert list(cases_of(site)) == [case_id(site, TWO.accession)]
    assert [reason for reason in counts if "fewer, pixels" in reason]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("[intake]\ncolour = 1", "colour"),
        ('[intake]\nreports = "image"', "has no encoder of texts"),
        ('[intake]\n[[intake.take]]\nmodality = "text"', "has no encoder of images"),
        ('[intake]\n[[intake.take]]\nmodality = "ct"', "there is no modality 'ct'"),
        ("[intake]\n[intake.dicom]\nport = 0", "intake.dicom.port"),
        ('[intake]\n[intake.hl7]\nport = 1\nkey = "a"', "certificate and key belong together"),
        (
            '[intake]\n[intake.dicom]\nport = 104\ncallers = ["RÖNTGEN"]',
            "an AE title of 1 to 16 ASCII characters",
        ),
        ('[intake]\n[intake.dicom]\nport = 104\nae_title = "FEDFIN\\n"', "an AE title of 1 to 16 ASCII"),
        ('[intake]\n[intake.oru]\naccession = "3"', "a place like OBR-3.1"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, bundles, section, words):
    with pytest.raises(SettingsError, match=words):
        open_intake(make_site(tmp_path / "site", bundles, section), make=True)


@pytest.mark.parametrize("source", ["fhir", "dicomweb"])
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path, bundles, source):
    section = f'{RULE}\n[intake.{source}]\nurl = "https://reader:sesame@archive.example/a"\n'
    with pytest.raises(SettingsError, match=f"intake.{source}.url.*keys of their own") as refused:
        make_site(tmp_path / "site", bundles, section)
    assert "sesame" not in str(refused.value)


def test_encode_says_how_many_cases_it_fixed(site, capsys):
    """What it is called for at a site with an intake, which has encoded them before."""
    take(site, [ONE.view(), TWO.view()], [oru(ONE, "effusion", minute=1)])
    edge("encode", site.folder, "--processes", 1)
    shown = capsys.readouterr().out
    assert "2 cases of the intake are fixed for the next run" in shown
    assert "nothing to encode" not in shown


def test_encode_before_anything_was_taken_says_what_to_do(site):
    with pytest.raises(StateError, match="run `fedfin edge intake"):
        edge("encode", site.folder)


def test_a_site_with_another_case_table_than_the_intakes_is_refused(site):
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace("intake/cases.jsonl", "cases.csv"))
    with pytest.raises(SettingsError, match='must be "intake/cases'):
        open_intake(open_site(site.folder), make=True)


def test_a_kill_between_keeping_and_dropping_counts_nothing_twice(site, monkeypatch):
    """The last step of a batch did not happen: everything of it is done again."""
    objects, messages = [ONE.view(), TWO.view()], [oru(ONE, "clear", minute=1)]
    with open_service(site) as service, monkeypatch.context() as patched:
        patched.setattr(service._spool, "remove", lambda _: None)
        for each in objects:
            service._reception.take_object(each)
        service._absorber.absorb()
    first = cases_of(site)
    take(site, [], messages, order=random.Random(0).random())
    assert cases_of(site).keys() == first.keys()
    assert number_of_features(site) == 3
