"""What `fedfin bench codec` measures, on a small update."""

import json

import numpy as np
import pytest
from codec_files import mfeat_cache

from benchmarks.codec import deltas, measure, stages
from benchmarks.codec.coders import coders
from benchmarks.codec.symbols import entropy_bytes, streams
from fedfin.codec import PRESETS, compress
from fedfin.command_line.main import main
from fedfin.errors import FedfinError, InputError, StateError

DRAWS = np.random.default_rng(0)
UPDATE = {
    "bias": DRAWS.laplace(size=30).astype(np.float32),
    "weight": DRAWS.laplace(size=(120, 100)).astype(np.float32),
    "unused": np.zeros((3, 2), np.float32),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """The benchmark runs pytest itself, and times nothing where it takes itself for one of several workers."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "site-1-0009.npz", **UPDATE, more=np.zeros(99_999, np.float32))
    np.savez(tmp_path / "site-1-0010.npz", bias=UPDATE["bias"])
    np.savez(tmp_path / "site-2-0010.npz", **UPDATE)
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    return tmp_path


def test_entropy_of_known_streams():
    half = np.array([0, 1] * 40, np.uint8)
    quarter = np.array([0, 0, 0, 1] * 20, np.uint8)
    constant = np.zeros(50, np.uint8)
    assert entropy_bytes([half]) == pytest.approx(10)
    assert entropy_bytes([quarter]) == pytest.approx(80 * 0.811278 / 8, rel=1e-5)
    assert entropy_bytes([constant, np.zeros(0, np.uint8)]) == 0
    assert entropy_bytes([half, quarter]) == pytest.approx(entropy_bytes([half]) + entropy_bytes([quarter]))


def test_levels_are_one_stream_and_floats_one_a_byte():
    many = DRAWS.normal(size=1000).astype(np.float32)
    levels, *planes = streams({"a": np.array([[-2, 0], [3, 0]], np.float32), "b": many})
    assert levels.tolist() == [0, 1, 2, 1]
    assert np.array_equal(np.stack(planes, axis=1).ravel().view(np.float32), many)
    halves = streams({"b": many.astype(np.float16).astype(np.float32)})
    assert np.array_equal(np.stack(halves, axis=1).ravel().view(np.float16), many.astype(np.float16))


@pytest.mark.parametrize("coder", coders()[0], ids=lambda coder: coder.name)
def test_coders_give_back_what_went_in_near_its_entropy(coder):
    parts = [
        DRAWS.choice(3, 20_000, p=[0.02, 0.96, 0.02]).astype(np.uint8),
        np.zeros(7, np.uint8),
        DRAWS.integers(0, 256, 500).astype(np.uint8),
        np.array([5, 5], np.uint8),
    ]
    body = coder.encode(parts)
    back = coder.decode(body, [len(part) for part in parts])
    assert all(np.array_equal(one, other) for one, other in zip(back, parts, strict=True))
    worst = 1.05 if coder.library == "constriction" else 2.5
    tables = 4 * sum(int(part.max()) + 1 for part in parts)
    assert entropy_bytes(parts) <= len(body) <= worst * entropy_bytes(parts) + tables + 64


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("benchmarks.codec.coders.importlib.import_module", missing)
    assert coders() == ([], ["zlib", "lzma", "zstandard", "constriction"])


def test_the_largest_update_of_the_last_round_is_read(folder):
    path, tensors = deltas.read_last(folder)
    assert path.name == "site-2-0010.npz"
    assert tensors.keys() == UPDATE.keys()
    assert all(np.array_equal(tensors[name], values) for name, values in UPDATE.items())


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (None, "has no NAME-ROUND"),
        ({}, "holds no values"),
        ({"a": np.zeros(3)}, "array a does not hold finite float32"),
        ({"a": np.array([1, np.inf], np.float32)}, "array a does not hold finite float32"),
        ({"a": np.array([None])}, "is not an .npz of arrays"),
        ("text", "is not an .npz of arrays"),
    ],
)
def test_deltas_that_are_none_are_refused(tmp_path, arrays, reason):
    if arrays == "text":
        (tmp_path / "site-0001.npz").write_text(arrays)
    elif arrays is not None:
        np.savez(tmp_path / "site-0001.npz", **arrays)
    with pytest.raises(InputError, match=reason):
        deltas.read_last(tmp_path)


def test_time_is_told_by_function():
    shapes = {name: values.shape for name, values in UPDATE.items()}
    spent = stages.by_function(lambda: compress(UPDATE, shapes, "small"))
    assert {"compression.compress", "select.largest"} <= spent.keys()
    assert all(0 <= seconds < 1 for seconds in spent.values())
    assert 0 < stages.memcpy_seconds(UPDATE) < 1


def test_figures_of_a_folder_of_deltas(folder, capsys):
    assert main(["bench", "codec", "--deltas", str(folder), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    size = sum(4 * values.size for values in UPDATE.values())
    assert figures["float32"] == size
    assert [line["preset"] for line in figures["presets"]] == list(PRESETS)
    shapes = {name: values.shape for name, values in UPDATE.items()}
    for line in figures["presets"]:
        assert line["bytes"] == len(compress(UPDATE, shapes, line["preset"]).body)
        assert line["ratio"] == pytest.approx(size / line["bytes"])
        assert line["over_entropy"] == pytest.approx(line["bytes"] / line["entropy"] - 1)
        assert min(line[key] for key in ("encode_mb_s", "decode_mb_s", "encode_peak", "decode_peak")) > 0
    names = {coder.name for coder in coders()[0]}
    assert {(line["coder"], line["preset"]) for line in figures["coders"]} == {
        (n, p) for n in names for p in PRESETS
    }
    from benchmarks.codec.tables import print_speed

    print_speed(figures)
    table = capsys.readouterr().out
    assert f"{size:,} bytes as float32" in table
    assert "zlib -6" in table


def test_a_benchmark_that_fails_is_no_result(folder, monkeypatch):
    monkeypatch.setattr(measure.bench_codec, "DELTAS", "NOBODY_READS_THIS")
    with pytest.raises(FedfinError, match=r"did not pass:\n(.|\n)*KeyError"):
        measure.measure(folder, "mfeat", folder, lambda *_: None)


def test_deltas_are_recorded_from_a_study_once(tmp_path, monkeypatch):
    monkeypatch.setattr(deltas, "ROUND", 2)
    steps = []
    cache = mfeat_cache(tmp_path)
    first = deltas.recorded("mfeat", cache, lambda *step: steps.append(step))
    assert deltas.recorded("mfeat", cache, lambda *step: steps.append(step)) == first
    assert steps == [("recording rounds", 1, 2), ("recording rounds", 2, 2)]
    path, tensors = deltas.read_last(first)
    assert path.name == "site-1-0002.npz"
    assert sum(values.size for values in tensors.values()) > 100_000


def test_without_a_checkout_the_command_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fedfin.command_line.checkout.CHECKOUT", tmp_path)
    assert main(["bench", "codec"]) == StateError.exit_code
    assert "clone its repository" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["codec", "codec-study", "codec-report"])
def test_every_command_has_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["bench", command, "--help"])
    assert f"example: fedfin bench {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--preset", "huge"], "--preset huge: is not one of exact"),
        (["--taking-part", "9"], "there are 8 sites"),
    ],
)
def test_a_study_that_cannot_be_is_refused(options, reason, capsys):
    assert main(["bench", "codec-study", *options]) == 3
    assert reason in capsys.readouterr().err


def test_study_and_report_commands(tmp_path, capsys):
    cache, out = mfeat_cache(tmp_path / "cache"), tmp_path / "study.jsonl"
    options = ["--data", "mfeat", "--seeds", "1", "--rounds", "1", "--cache", str(cache), "--out", str(out)]
    assert main(["bench", "codec-study", "--preset", "exact", "--taking-part", "8", *options]) == 0
    assert "mfeat, 8 of 8 sites" in capsys.readouterr().out
    assert main(["bench", "codec-report", str(out), "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["preset"], line["difference"], line["seeds"]) == ("exact", 0, 1)
