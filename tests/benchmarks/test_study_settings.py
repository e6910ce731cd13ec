"""study.toml: what it may say, and how its mistakes are told."""

import re
from pathlib import Path

import pytest

from benchmarks.study.jobs import jobs
from benchmarks.study.methods.registry import METHODS
from benchmarks.study.settings import Setting, presets, read_study
from fedfin.errors import SettingsError

RUNS = '[[runs]]\ndata = ["mfeat"]\nsettings = ["8:0:2"]\nmethods = ["zero-fill"]\n'


def read(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return read_study(str(path))


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_read_has_runs_and_says_what_it_is(name):
    assert jobs(read_study(name), METHODS)
    assert len(presets()[name]) > 20


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed = 3\n" + RUNS, "unknown field `seed`"),
        ("seeds = 0\n" + RUNS, "key seeds"),
        ("", "key runs: there are none"),
        (RUNS.replace("mfeat", "moles"), r"key runs\[0\].data: 'moles' is not one of mfeat"),
        (RUNS.replace("8:0:2", "9:1"), r"key runs\[0\].settings: '9:1' is not one of 8:0:2"),
        (RUNS + 'tuned_in = "9:1"', r"key runs\[0\].tuned_in: '9:1' is not one of 8:0:2"),
        (
            RUNS + 'tuned_in = "x"\n[settings.x]\nratio = "4:4:2"\nrotate = true',
            "tuned_in: other cases judge there",
        ),
        (
            RUNS + 'tuned_in = "x"\n[settings.x]\nratio = "4:4:2"\nheld_out = 0.2',
            "tuned_in: other cases judge there",
        ),
        ('join = ["nothing"]', "nothing: is no preset"),
        ('join = ["study.toml"]', "key join: the study joins itself"),
        (RUNS + '[settings.x]\nratio = "8:2"', "must be three whole numbers, such as 8:0:2"),
        (
            RUNS + "[settings.x]\nalpha = 0.3",
            "exactly one of ratio, missing, patterns, recorded and hospitals",
        ),
        (RUNS + '[settings.x]\nratio = "1:0:0"', "two sites or more"),
        (RUNS + "[settings.x]\nhospitals = true\nalpha = 0.3", "with hospitals nothing is dealt"),
        (RUNS + '[data.x]\nmodalities = ["a", "b"]', "give either name"),
        (RUNS + '[data.x]\ntable = "t.csv"\nmodalities = ["a", "b"]', "a table needs bundles"),
        (RUNS + '[data.x]\nname = "mfeat"\nmodalities = ["fou"]', "key data"),
        (RUNS + "[model]\nfin_width = 1", "key model.fin_width"),
    ],
)
def test_a_mistake_is_told_with_its_file_key_and_remedy(tmp_path, text, told):
    with pytest.raises(SettingsError, match=told) as error:
        read(tmp_path, text)
    assert "study.toml" in str(error.value) or "nothing" in text


def test_own_data_and_settings_have_names_and_paths_from_the_files_folder(tmp_path):
    own = (
        '[data.ours]\ntable = "cases.csv"\nbundles = { image = "lite", text = "minilm" }\n'
        'modalities = ["image", "text"]\n[settings.small]\nratio = "1:0:1"\n'
    )
    runs = RUNS.replace("mfeat", "ours").replace("8:0:2", "small")
    (study,) = read(tmp_path, own + runs)
    (part,) = study.data["ours"].sources
    assert part.table == str(tmp_path / "cases.csv")
    assert part.bundles["image"] == str(tmp_path / "lite")
    assert study.settings["small"].counts == (1, 0, 1)


def test_the_docs_example_is_a_study_and_every_key_of_a_setting_is_told(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "study.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(read(tmp_path, example)) > 1
    told = " ".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))
    assert {f"`{key}`" for key in Setting.__struct_fields__} <= set(re.findall(r"`\w+`", told))
