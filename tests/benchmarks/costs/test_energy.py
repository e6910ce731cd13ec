"""Power is measured where there is a sensor, else stated; and it says which."""

import time

import pytest

from benchmarks.costs.power import accelerator_watts, power
from benchmarks.costs.prices import DEFAULT, read_prices
from fedfin.errors import SettingsError


def test_without_a_sensor_power_is_estimated_with_its_error(tmp_path):
    found = power(7.0, rapl=tmp_path / "none", hwmon=tmp_path / "none")
    assert (found.watts, found.how) == (7.0, "estimated")
    assert "40 %" in found.method


def test_a_jetsons_sensor_is_read_in_watts(tmp_path):
    chip = tmp_path / "hwmon3"
    chip.mkdir()
    for name, text in (("name", "ina3221\n"), ("in1_input", "5000\n"), ("curr1_input", "1500\n")):
        (chip / name).write_text(text)
    found = power(7.0, rapl=tmp_path / "none", hwmon=tmp_path, work=lambda: None)
    assert (found.watts, found.how) == (7.5, "measured")


def test_rapl_counters_become_watts(tmp_path):
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("1000000")

    def work():
        time.sleep(0.2)
        counter.write_text("3400000")  # 2.4 J in 0.2 s

    found = power(7.0, rapl=tmp_path, hwmon=tmp_path, work=work)
    assert found.how == "measured"
    assert 6 < found.watts <= 12


def test_what_a_gpu_draws_is_told_in_watts(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 71.25\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert accelerator_watts() == 71.25
    program.unlink()
    assert accelerator_watts() is None


def test_the_price_file_that_comes_along_is_read():
    assert read_prices().use.sites == 10


def test_a_wrong_price_names_file_and_key(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(DEFAULT.read_text().replace("a_gb = 0.09", "a_gb = -1"))
    with pytest.raises(SettingsError, match=r"mine\.toml.*a_gb"):
        read_prices(path)
