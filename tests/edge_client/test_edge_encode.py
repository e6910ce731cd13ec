"""`fedfin edge encode`: each input once, interrupted or not, and nothing bad is fatal or silent."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from edge_sites import edge, make_image_bundle
from PIL import Image

from fedfin.encoders.bundle import read_manifest
from fedfin.errors import BundleError, InputError, StateError
from fedfin_edge.cases.encoder import Encoder, open_encoder
from fedfin_edge.cases.feature_store import FeatureStore

ROOT = Path(__file__).parents[2]


def image_rows(maker, count):
    """Rows with an image each; up to 250 of them differ."""
    return [{"case": f"c{i}", "image": maker.image(f"{i}.png", i % 250), "text": ""} for i in range(count)]


def test_a_second_run_encodes_nothing_and_says_so(maker, capsys, monkeypatch):
    """Nor does it even open an encoder."""
    site = maker.site(maker.table([*image_rows(maker, 3), {"case": "t", "text": "clear lungs"}]))
    edge("encode", site.folder)
    assert "image: 3 encoded" in capsys.readouterr().out
    monkeypatch.setattr(
        "fedfin_edge.cases.encoder.open_encoder", lambda *_, **__: pytest.fail("opened an encoder")
    )
    edge("encode", site.folder)
    assert "nothing to encode" in capsys.readouterr().out


def test_features_are_what_the_graph_makes(maker, encode, make_plan):
    """Pixels and token ids reach the graph as the recipe says."""
    image, text = maker.image("a.png", 77), "clear lungs effusion clear"
    site = maker.site(maker.table([{"case": "a", "image": image, "text": text}]))
    encode(site)
    images, texts = make_plan().modalities
    with FeatureStore(site.features_path) as store:
        pixels = store.get(images.encoder, store.digest(maker.folder / image), 2)
        tokens = store.get(texts.encoder, store.digest(text), 1)
    assert pixels.tolist() == [77.0, 77.0]
    assert tokens.tolist() == [(2 + 4 + 60 + 2) / 4]


def test_the_same_content_is_encoded_once(maker, encode):
    """Two files of the same bytes, in one batch or far apart, are one input."""
    rows = image_rows(maker, 40)
    rows.insert(1, {"case": "twin", "image": maker.image("twin.png", 0)})
    rows.append({"case": "late", "image": maker.image("late.png", 0)})
    counts = encode(maker.site(maker.table(rows)))["counts"]["image"]
    assert counts == {"inputs": 42, "encoded": 40, "known": 2, "failed": 0}


def test_a_changed_file_is_encoded_again(maker, encode):
    """The key is the content, not the name."""
    site = maker.site(maker.table(image_rows(maker, 2)))
    encode(site)
    maker.image("1.png", 200)
    os.utime(maker.folder / "images/1.png", (1, 1))
    assert encode(site)["counts"]["image"]["encoded"] == 1


def test_another_encoder_encodes_again(maker, encode, tmp_path):
    """The key is the encoder, too: its features are another space."""
    rows = image_rows(maker, 2)
    site = maker.site(maker.table(rows), "image")
    encode(site)
    bundle = make_image_bundle(tmp_path / "other")
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"bilinear"', '"bicubic"'))
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace(str(maker.bundles["image"]), str(bundle)))
    assert encode(site)["counts"]["image"]["encoded"] == 2


def test_an_interrupted_run_goes_on(maker, encode, monkeypatch):
    """What was committed before the interruption is not encoded again."""
    site = maker.site(maker.table(image_rows(maker, 100)))
    real, calls = Encoder.encode_noted, []

    def stop_at_70(self, value):
        calls.append(1)
        if len(calls) == 70:
            raise KeyboardInterrupt
        return real(self, value)

    monkeypatch.setattr(Encoder, "encode_noted", stop_at_70)
    with pytest.raises(KeyboardInterrupt):
        edge("encode", site.folder, "--processes", 1)
    monkeypatch.setattr(Encoder, "encode_noted", real)
    assert encode(site)["counts"]["image"] == {"inputs": 100, "encoded": 36, "known": 64, "failed": 0}


SLOW_ENCODE = """
import argparse, pathlib, sys, time
from fedfin_edge.commands.encode import run
from fedfin_edge.cases.encoder import Encoder
real = Encoder.encode_noted
def slow(self, value):
    time.sleep(0.03)
    return real(self, value)
Encoder.encode_noted = slow
run(argparse.Namespace(folder=pathlib.Path(sys.argv[1]), processes=1, json=False))
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_process_stopped_at_any_time_leaves_a_sound_store(maker, encode, sign):
    """Ctrl-C, and the nearest relative of a power cut."""
    site = maker.site(maker.table(image_rows(maker, 240)))
    command = [sys.executable, "-c", SLOW_ENCODE, str(site.folder)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while count(site.features_path) < 64 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(sign)
    assert process.wait(60) != 0
    before = count(site.features_path)
    with closing(sqlite3.connect(site.features_path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert 64 <= before < 240
    assert encode(site)["counts"]["image"]["encoded"] == 240 - before


def count(path):
    """Features in a store that another process may be making."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT count(*) FROM features").fetchone()[0]
    except sqlite3.OperationalError:  # not yet set up
        return 0


def test_bad_files_are_listed_counted_and_skipped(maker, encode):
    """Each time anew: a second run that skips them silently would hide them."""
    rows = image_rows(maker, 3)
    rows[0]["text"] = "clear"
    (maker.folder / "images/0.png").write_bytes(b"not an image")
    (maker.folder / "images/1.png").write_bytes(b"")
    site = maker.site(maker.table(rows))
    for _ in range(2):
        report = encode(site)
        found = [(p["row"], p["column"], p["effect"]) for p in report["problems"]]
        assert found == [(2, "image", "input left out"), (3, "image", "input left out")]
        assert (report["counts"]["image"]["failed"], report["usable"], report["cases"]) == (2, 2, 3)


def test_problems_are_shown_with_row_column_and_reason(maker, capsys):
    """On stderr, one line per kind; cells are not quoted."""
    rows = [*image_rows(maker, 1), *({"case": f"x{i}", "image": f"gone-{i}.png"} for i in range(30))]
    site = maker.site(maker.table(rows))
    capsys.readouterr()
    edge("encode", site.folder)
    text = capsys.readouterr().err
    assert "rows 3, 4, 5" in text
    assert "and 10 more (--json lists all), column image: there is no such file (input left out)" in text
    assert "30 row skipped" in text
    assert "gone" not in text


def test_no_usable_case_is_an_input_error(maker, capsys):
    """After the problems have been listed."""
    site = maker.site(maker.table(image_rows(maker, 2)))
    for name in ("0.png", "1.png"):
        (maker.folder / "images" / name).write_bytes(b"junk")
    with pytest.raises(InputError, match="not one case"):
        edge("encode", site.folder)
    assert "not a PNG" in capsys.readouterr().err


def test_a_third_modality_needs_no_code_of_its_own(maker, encode):
    """Vectors: laboratory values, say."""
    site = maker.site(maker.json_table([{"labs": [1, 2.5, 3]}, {"labs": "4 5 6"}]), "labs")
    assert encode(site)["counts"]["labs"]["encoded"] == 2


def test_features_do_not_depend_on_neighbours(bundles):
    """A text's padding, and an int8 graph's range, must not come from the batch."""
    encoder = open_encoder(bundles["text"])
    together = encoder.encode(["effusion", "clear " * 12])
    assert np.array_equal(together[0], encoder.encode(["effusion"])[0])


def test_a_damaged_bundle_is_refused(tmp_path):
    """One changed byte is a BundleError before anything is encoded."""
    bundle = make_image_bundle(tmp_path / "bundle")
    graph = bundle / "encoder.onnx"
    graph.write_bytes(b"x" + graph.read_bytes()[1:])
    with pytest.raises(BundleError, match="not the file"):
        open_encoder(bundle)


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_store_says_what_to_do(maker, content):
    """It is a cache: delete it."""
    site = maker.site(maker.table(image_rows(maker, 1)))
    site.features_path.write_bytes(content)
    with pytest.raises(StateError, match="delete it"):
        edge("encode", site.folder)


def test_a_store_of_another_format_is_left_alone(tmp_path):
    """A newer version's store is refused, not overwritten."""
    with closing(sqlite3.connect(tmp_path / "f.sqlite")) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(StateError, match="another version"):
        FeatureStore(tmp_path / "f.sqlite")


def test_the_store_holds_no_text_and_no_ids(maker, encode):
    """Features and digests only: what is not there cannot leak."""
    row = {
        "case": "CASE-SECRET",
        "patient": "PATIENT-SECRET",
        "image": maker.image("FILE-SECRET.png"),
        "text": "TEXT-SECRET",
    }
    site = maker.site(maker.table([row]))
    encode(site)
    assert not [path for path in site.folder.glob("features*") if b"SECRET" in path.read_bytes()]


def test_json_output_is_one_object(maker, capsys):
    """Standard output is for the machine; progress and problems go to stderr."""
    site = maker.site(maker.table(image_rows(maker, 1)))
    capsys.readouterr()
    edge("encode", site.folder, "--json")
    keys = {"cases", "problems", "counts", "usable", "notes", "seconds"}
    assert set(json.loads(capsys.readouterr().out)) == keys


def test_texts_in_markup_are_decoded_and_counted_but_never_printed(maker, encode, capsys):
    """What is noted tells the kind; the features are those of the text."""
    texts = [
        "clear lungs",
        r"{\rtf1 clear lungs}",
        "<p>clear lungs</p>",
        "<b>clear</b> lungs",
        r"clear\.br\lungs",
    ]
    site = maker.site(maker.table([{"case": f"c{i}", "text": text} for i, text in enumerate(texts)]), "text")
    report = encode(site)
    assert report["notes"] == {
        "is RTF: read as plain text": 1,
        "has HTML tags or entities: read as plain text": 2,
        "has HL7 escapes: these are decoded": 1,
    }
    assert "lungs" not in json.dumps(report)
    assert len({row[2] for row in features(site)}) == 1
    site.features_path.unlink()
    edge("encode", site.folder)
    told = capsys.readouterr()
    assert told.err.count("has HTML tags or entities: read as plain text (noted)\n") == 1
    assert "HTML" not in told.out
    assert "lungs" not in told.out + told.err


def test_notes_of_what_did_not_change_are_told_again(maker, encode):
    """By every run, and of the same content in another row: else only the first would say what a site has."""
    texts = ["<p>clear lungs</p>", r"clear\.br\<p>lungs</p>", "clear", "<p>clear lungs</p>"]
    site = maker.site(maker.table([{"case": f"c{i}", "text": text} for i, text in enumerate(texts)]), "text")
    first, second = encode(site), encode(site)
    assert second["counts"]["text"] == {"inputs": 4, "encoded": 0, "known": 4, "failed": 0}
    assert [problem["row"] for problem in first["problems"]] == [2, 3, 3, 5]
    assert (first["problems"], first["notes"]) == (second["problems"], second["notes"])


def test_a_store_from_before_notes_were_kept_is_read_as_having_none(maker, encode):
    """Its features are right: nothing is encoded anew."""
    site = maker.site(maker.table([{"case": "a", "text": "<p>clear lungs</p>"}]), "text")
    encode(site)
    with closing(sqlite3.connect(site.features_path)) as database:
        database.execute("DROP TABLE notes")
    report = encode(site)
    assert (report["counts"]["text"]["known"], report["problems"]) == (1, [])


def features(site):
    """Every row of the store's features, in order."""
    with closing(sqlite3.connect(site.features_path)) as database:
        return database.execute("SELECT * FROM features ORDER BY encoder, input").fetchall()


def test_features_are_the_same_bits_for_any_number_of_processes(maker, encode):
    """With bad files and the same content again among them; reports are equal, too."""
    rows = [*image_rows(maker, 80), {"case": "twin", "image": maker.image("twin.png", 3)}]
    for name in ("5.png", "60.png"):
        (maker.folder / "images" / name).write_bytes(b"junk")
    site = maker.site(maker.table(rows), "image")
    found = []
    for processes in (1, 2, 3):
        report = encode(site, "--processes", processes)
        found.append((features(site), report["counts"], report["problems"], report["usable"]))
        site.features_path.unlink()
    assert found[0] == found[1] == found[2]
    assert found[0][1]["image"] == {"inputs": 81, "encoded": 78, "known": 1, "failed": 2}


def children(process):
    """The ids of a process's worker processes."""
    lines = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(n) for n in lines if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]


def alive(process):
    """Whether a process still runs."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except OSError:
        return False


def start_two(site):
    """`fedfin edge encode --processes 2`, with both workers at work."""
    command = [sys.executable, "-m", "fedfin", "edge", "encode", str(site.folder), "--processes", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while (count(site.features_path) < 32 or len(children(process.pid)) < 2) and process.poll() is None:
        time.sleep(0.005)
    return process, children(process.pid)


@pytest.fixture
def slow_site(maker):
    """300 images that take some ten milliseconds each."""
    folder = maker.folder / "images"
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (800, 600), np.uint8)
    for number in range(300):
        noise[0, :2] = divmod(number, 256)
        Image.fromarray(noise).save(folder / f"{number}.png", compress_level=1)
    return maker.site(
        maker.table([{"case": f"c{n}", "image": f"images/{n}.png"} for n in range(300)]), "image"
    )


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_workers_end_with_the_run_and_the_next_goes_on_to_the_same_bits(slow_site, encode, sign, code):
    """However it is stopped; what is made in two halves equals what is made in one."""
    process, workers = start_two(slow_site)
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert process.returncode == code
    ends = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < ends:
        time.sleep(0.01)
    assert not any(map(alive, workers))
    before = count(slow_site.features_path)
    assert encode(slow_site, "--processes", 2)["counts"]["image"]["encoded"] == 300 - before
    resumed = features(slow_site)
    slow_site.features_path.unlink()
    encode(slow_site, "--processes", 1)
    assert resumed == features(slow_site)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_worker_killed_is_an_error_that_says_what_to_do(slow_site):
    """As the kernel does when memory runs out: no hang, no traceback."""
    process, workers = start_two(slow_site)
    os.kill(workers[0], signal.SIGKILL)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "memory ran out" in text
    assert "--processes" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("processes", [1, 2])
def test_what_was_noted_of_an_image_is_listed_and_counted(maker, encode, processes):
    """And the image is used; it is the same whichever process read it."""
    rows = image_rows(maker, 40)
    Image.new("L", (10, 12), 255).save(maker.folder / "images/1.png")
    report = encode(maker.site(maker.table(rows), "image"), "--processes", processes)
    assert [(p["row"], p["column"], p["reason"], p["effect"]) for p in report["problems"]] == [
        (3, "image", "is a picture of one single value", "noted")
    ]
    assert report["counts"]["image"]["encoded"] == 40


def test_features_of_another_reading_are_made_anew(maker, encode, monkeypatch):
    """Though neither file nor bundle has changed."""
    site = maker.site(maker.table(image_rows(maker, 2)))
    older = b"fedfin image 1\n"
    with monkeypatch.context() as patch:
        patch.setattr("fedfin_edge.cases.digests.IMAGE_READING", older)
        patch.setattr("fedfin_edge.cases.feature_store.IMAGE_READING", older)
        assert encode(site)["counts"]["image"]["encoded"] == 2
    assert encode(site)["counts"]["image"]["encoded"] == 2
    assert encode(site)["counts"]["image"]["known"] == 2


def test_a_bundle_for_another_reading_of_images_is_refused(maker):
    """Two sites never train on different pixels unnoticed."""
    bundle = shutil.copytree(maker.bundles["image"], maker.folder / "other-reading")
    path = bundle / "manifest.json"
    path.write_text(re.sub(r'"reader": ?\d+', '"reader":1', path.read_text()))
    with pytest.raises(BundleError, match="for images read in way 1"):
        read_manifest(bundle)


def test_a_bundle_for_another_reading_of_texts_is_refused(maker):
    """As for images: what markup and long texts become is part of what sites agree on."""
    bundle = shutil.copytree(maker.bundles["text"], maker.folder / "other-reading")
    path = bundle / "manifest.json"
    path.write_text(re.sub(r'"reader": ?\d+', '"reader":1', path.read_text()))
    with pytest.raises(BundleError, match="for texts read in way 1"):
        read_manifest(bundle)
