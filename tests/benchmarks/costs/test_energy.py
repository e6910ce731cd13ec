"""Power is measured where there is a sensor, else stated; and it says which."""

import pytest

from benchmarks.costs.power import power
from benchmarks.costs.prices import DEFAULT, read_prices
from fedfin.errors import SettingsError


def test_without_a_sensor_power_is_estimated_with_its_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    found = power(7.0, rapl=tmp_path / "none", hwmon=tmp_path / "none")
    assert (found.watts, found.how) == (7.0, "estimated")
    assert "40 %" in found.method


def test_a_jetsons_sensor_is_read_in_watts(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    chip = tmp_path / "hwmon3"
    chip.mkdir()
    for name, text in (("name", "ina3221\n"), ("in1_input", "5000\n"), ("curr1_input", "1500\n")):
        (chip / name).write_text(text)
    found = power(7.0, rapl=tmp_path / "none", hwmon=tmp_path)
    assert (found.watts, found.how) == (7.5, "measured")


def test_rapl_counters_become_watts(tmp_path, monkeypatch):
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("1000000")
    monkeypatch.setattr("time.sleep", lambda _: counter.write_text("13000000"))
    found = power(7.0, rapl=tmp_path, hwmon=tmp_path)
    assert (found.watts, found.how) == (12.0, "measured")


def test_the_price_file_that_comes_along_is_read():
    assert read_prices().use.sites == 10


def test_a_wrong_price_names_file_and_key(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(DEFAULT.read_text().replace("a_gb = 0.09", "a_gb = -1"))
    with pytest.raises(SettingsError, match=r"mine\.toml.*a_gb"):
        read_prices(path)
