"""`fedfin edge init` and site.toml."""

import itertools
import re

import pytest
from edge_sites import INIT, edge, make_image_bundle

from fedfin.command_line.main import main
from fedfin.errors import BundleError, InputError, SettingsError, StateError
from fedfin_edge.cases.table import read_table
from fedfin_edge.commands.init import to_toml
from fedfin_edge.site import CaseColumns, ModalitySettings, SiteSettings, open_site


@pytest.fixture
def table(maker):
    """One case with a text and an image; init looks for the file, not into it."""
    (maker.folder / "a.png").touch()
    return maker.table([{"case": "a", "image": "a.png", "text": "clear", "png": "a.png", "effusion": 1}])


def test_the_folder_opens_and_the_next_step_is_named(maker, table, bundles, capsys):
    """Paths resolve from the site folder; modality names come from the manifests."""
    site = maker.site(table)
    assert f"fedfin edge encode {site.folder}" in capsys.readouterr().out
    assert site.bundle_path("text").samefile(bundles["text"])
    assert site.table_path.samefile(table)
    assert site.state_path.is_dir()
    assert site.settings.modalities["image"].column == "image"


def test_relative_paths_are_kept_relative(maker, table, monkeypatch):
    """So that the site can be moved together with its data."""
    make_image_bundle(maker.folder / "bundle")
    monkeypatch.chdir(maker.folder)
    assert edge("init", "deep/site", *INIT, "--cases", "cases.csv", "--bundle", "bundle") == 0
    site = open_site(maker.folder / "deep/site")
    assert site.settings.modalities["image"].bundle == "../../bundle"
    assert site.table_path.samefile(table)


def test_a_column_can_be_called_otherwise(maker, table):
    """--column image=png."""
    site = maker.site(table, "image", options=["--column", "image=png"])
    assert site.settings.modalities["image"].column == "png"


def test_it_never_overwrites(maker, table):
    """A second init is refused and changes nothing."""
    settings = maker.site(table).folder / "site.toml"
    before = settings.read_bytes()
    with pytest.raises(StateError, match="exists already"):
        maker.site(table, "image")
    assert settings.read_bytes() == before


BAD_OPTIONS = {
    "column of no bundle": (["--column", "audio=x"], SettingsError, "no --bundle"),
    "column without a name": (["--column", "image"], SettingsError, "MODALITY=NAME"),
    "column that is not there": (["--column", "image=nope"], SettingsError, "does not have"),
    "column in two roles": (["--column", "image=text"], SettingsError, "two purposes"),
    "bad site id": (["--site", "St. Mary"], SettingsError, "site"),
    "bad broker": (["--broker", "broker:1883"], SettingsError, "broker"),
    "no bundle there": (["--bundle", "/no/such/bundle"], BundleError, "no such folder"),
    "no table there": (["--cases", "/no/such.csv"], InputError, r"such\.csv"),
}


@pytest.mark.parametrize("kind", BAD_OPTIONS)
def test_a_bad_option_is_refused_and_leaves_nothing(maker, table, kind):
    """Everything is checked before the folder is made."""
    options, error, message = BAD_OPTIONS[kind]
    with pytest.raises(error, match=message):
        maker.site(table, options=options)
    assert not (maker.folder / "site").exists()


def test_two_encoders_of_one_modality_are_refused(maker, table):
    """A site has one of each."""
    with pytest.raises(SettingsError, match="second encoder"):
        maker.site(table, "image", "image")


def test_any_text_survives_the_settings_file(tmp_path):
    """Quotes, backslashes, control and non-Latin characters in paths and column names."""
    odd = 'a"b\\c\x7f\x1f\té漢𝄞'
    settings = SiteSettings(
        site="s",
        federation="f",
        broker="mqtt://h:8883",
        cases=CaseColumns(table=odd, labels=("x", odd + "2")),
        modalities={"image": ModalitySettings(bundle=odd, column="image")},
    )
    (tmp_path / "site.toml").write_text(to_toml(settings), encoding="utf-8")
    assert open_site(tmp_path).settings == settings


def test_a_folder_without_settings_says_how_to_make_one(tmp_path):
    """The remedy is in the message."""
    with pytest.raises(SettingsError, match="fedfin edge init"):
        open_site(tmp_path)


def test_an_unknown_key_is_an_error(maker, table):
    """A misspelt key never silently takes its default."""
    path = maker.site(table).folder / "site.toml"
    path.write_text(path.read_text().replace("held_out", "heldout"))
    with pytest.raises(SettingsError, match=r"site\.toml.*heldout"):
        open_site(path.parent)


def test_a_long_table_shows_how_far_it_is(maker, monkeypatch, capsys):
    """A line now and then where stderr is no terminal; here the clock runs fast."""
    table = maker.table([{"case": n, "text": "clear"} for n in range(2500)])
    monkeypatch.setattr("time.monotonic", itertools.count(step=20).__next__)
    maker.site(table, "text")
    said = capsys.readouterr().err
    assert re.findall(r"(\w+ rows: \d+ of \d+) after", said) == [
        "reading rows: 1000 of 2501",
        "reading rows: 2000 of 2501",
        "checking rows: 1000 of 2500",
        "checking rows: 2000 of 2500",
    ]


def test_init_ends_with_4_and_the_reasons_where_no_case_can_be_used(maker, capsys):
    """Through the command line, with how often each reason is; no site folder is left."""
    table = maker.table([{"case": n, "text": "", "effusion": 1} for n in range(3)])
    words = ["init", maker.folder / "site", *INIT, "--cases", table, "--bundle", maker.bundles["text"]]
    assert main(["edge", *map(str, words)]) == InputError.exit_code == 4
    assert "has no input of any modality that can be used (3 x)" in capsys.readouterr().err
    assert not (maker.folder / "site").exists()


def test_a_table_without_a_usable_case_is_refused_with_its_reasons(maker):
    """Nothing is written."""
    table = maker.table([{"case": "a", "image": "", "text": "nan", "effusion": 1}])
    with pytest.raises(InputError, match=r"(?s)not one case can be used.*no input of any modality"):
        maker.site(table)
    assert not list(maker.folder.rglob("site.toml"))


def test_the_label_columns_that_are_there_are_written_down_and_told(maker, capsys):
    """From then on no other column is a label, also one that is added to the table later."""
    rows = [{"case": "a", "text": "clear", "effusion": 1, "mass": 0, "age": 71}]
    site = maker.site(maker.table(rows), "text")
    assert "this site answers for these labels and no others: effusion, mass\n" in capsys.readouterr().out
    assert open_site(site.folder).settings.cases.labels == ("effusion", "mass")
    maker.table([row | {"smoker": 1} for row in rows])
    assert read_table(site).cases[0].labels == {"effusion": 1.0, "mass": 0.0}


def test_label_picks_those_that_are_answered_for(maker, capsys):
    """A column that the table does not have is refused."""
    table = maker.table([{"case": "a", "text": "clear", "effusion": 1, "mass": 0, "smoker": 1}])
    with pytest.raises(SettingsError, match="names the column 'masses'"):
        maker.site(table, "text", options=["--label", "masses"])
    site = maker.site(table, "text", options=["--label", "mass", "--label", "effusion"])
    assert "no others: mass, effusion\n" in capsys.readouterr().out
    assert read_table(site).cases[0].labels == {"effusion": 1.0, "mass": 0.0}


@pytest.mark.parametrize("labels", ["labels = []", ""])
def test_a_site_that_names_no_label_answers_for_none(maker, labels):
    """Also one whose settings are from before, when an empty list exposed every column of ones and zeros."""
    site = maker.site(maker.table([{"case": "a", "text": "clear", "effusion": 1}]), "text")
    path = site.folder / "site.toml"
    path.write_text(re.sub(r"labels = .*", labels, path.read_text()))
    assert read_table(open_site(site.folder)).cases[0].labels == {}


def test_a_table_without_labels_is_told(maker, capsys):
    """It may be meant so."""
    maker.site(maker.table([{"case": "a", "text": "clear"}]), "text")
    assert "no label column was found: this site answers for none" in capsys.readouterr().out
