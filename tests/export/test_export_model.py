"""Promises of the exported model: it answers as torch does, needs no torch, and is whole or not there."""

import itertools
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from fedfin.errors import InputError, ParityError, StateError
from fedfin.model.exported_model import GRAPH
from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import ModelFile, write_model
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds
from fedfin_edge.predict.predictor import open_predictor
from fedfin_export.commands import model as export_module
from fedfin_export.commands.model import export_model

DIMS = {"image": 24, "type": 12, "lab-1": 5}
PATTERNS = [p for p in itertools.product((True, False), repeat=3) if any(p)]


# Every FIN variant; the closed forms with experts, random features and the gate.
CLOSED = {"answer": "both", "basis_total": 56}
MODELS = {
    "zero": {},
    "mlp": {"gate": "explained"},
    "decoder": {},
    "gaussian": CLOSED,
    "refined": CLOSED | {"gate": "explained"},
}
# What standardised features are divided by.
SCALES = [*((fin, "feature") for fin in MODELS), ("mlp", "modality"), ("gaussian", "modality")]
# As drafted, with tensors that answer nothing.
COUNTED = {"privacy": Privacy(level="secure", least_answers=10), "rounds": Rounds(sites=3, min_sites=3)}


def trained(fin, scale="feature"):
    """A model with every tensor off its start, as training leaves it."""
    plan = Plan(
        federation="test",
        labels=("a", "b"),
        modalities=tuple(
            Modality(name=name, encoder="0" * 64, dim=dim, scale=scale) for name, dim in DIMS.items()
        ),
        model=Model(
            **{"answer": "head", "basis_total": 0} | MODELS[fin],
            fin=fin,
            head_width=8,
            fin_width=16,
            fin_layers=1,
            memory_tokens=2,
        ),
        **(COUNTED if (fin, scale) == ("gaussian", "modality") else {}),
    )
    generator = np.random.default_rng(3)
    tensors = {
        name: (value + 0.2 * generator.random(value.shape)).astype(np.float32)
        for name, value in initial_model(plan).items()
    }
    return ModelFile(plan, 5, tensors)


def cases():
    """One case per presence pattern; absent rows hold rubbish that must not matter."""
    generator = np.random.default_rng(4)
    present = {m: np.array([p[i] for p in PATTERNS]) for i, m in enumerate(DIMS)}
    features = {m: generator.standard_normal((len(PATTERNS), d)).astype(np.float32) for m, d in DIMS.items()}
    for m, mask in present.items():
        features[m][~mask] = 1e6
    return features, present


@pytest.fixture(scope="module", params=SCALES, ids="-".join)
def exported(request, tmp_path_factory):
    """(model, folder) of each FIN variant; exporting takes seconds."""
    model, folder = trained(*request.param), tmp_path_factory.mktemp("-".join(request.param)) / "model"
    export_model(model, folder)
    return model, folder


def test_probabilities_are_those_of_torch(exported):
    """For every presence pattern, together and one by one."""
    import torch

    from fedfin.fusion.model import FusionModel

    model, folder = exported
    fusion, predictor = FusionModel(model.plan), open_predictor(folder)
    fusion.load_tensors(model.tensors)
    features, present = cases()
    with torch.inference_mode():
        inputs = [{m: torch.from_numpy(v) for m, v in d.items()} for d in (features, present)]
        logits, imputed = fusion(*inputs)
        explained = fusion.explained(imputed, inputs[1]).numpy()
    expected = torch.sigmoid(logits).numpy()
    answer = predictor.predict(features, present)
    assert np.abs(np.stack(list(answer.explained.values()), axis=1) - explained).max() < 1e-4
    assert np.abs(answer.probability - expected).max() < 1e-4
    for row in range(len(PATTERNS)):
        alone = predictor.predict(
            {m: v[row : row + 1] for m, v in features.items() if present[m][row]},
            {m: v[row : row + 1] for m, v in present.items() if v[row]},
        )
        assert np.abs(alone.probability[0] - expected[row]).max() < 1e-4


def test_prediction_says_what_was_imputed(exported):
    """What was not given is imputed; by zero-fill nothing is."""
    model, folder = exported
    answer = open_predictor(folder).predict(*cases())
    for modality, mask in answer.given.items():
        imputed = ~mask if model.plan.model.fin != "zero" else np.zeros_like(mask)
        assert np.array_equal(answer.imputed[modality], imputed)


def test_predicting_works_where_torch_cannot_be_imported(exported, tmp_path):
    """In a fresh process with torch blocked, the same probabilities come out."""
    _, folder = exported
    features, present = cases()
    np.savez(tmp_path / "f.npz", **features)
    np.savez(tmp_path / "p.npz", **present)
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, Block())
import numpy as np
from pathlib import Path
from fedfin_edge.predict.predictor import open_predictor
read = lambda name: dict(np.load(Path({str(tmp_path)!r}) / name))
answer = open_predictor(Path({str(folder)!r})).predict(read("f.npz"), read("p.npz"))
assert "torch" not in sys.modules
np.save(Path({str(tmp_path)!r}) / "out.npy", answer.probability)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    here = open_predictor(folder).predict(features, present).probability
    assert np.array_equal(np.load(tmp_path / "out.npy"), here)


def test_graph_suits_the_oldest_onnxruntime(exported):
    """Opset at most 21, IR at most 10, one file."""
    import onnx

    _, folder = exported
    graph = onnx.load(folder / GRAPH)
    assert graph.ir_version <= 10
    assert max(entry.version for entry in graph.opset_import if not entry.domain) <= 21
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx"]


def test_bad_input_is_refused(exported):
    """Nothing present, another shape, an unknown modality, not finite: an InputError each."""
    predictor = open_predictor(exported[1])
    one, yes, no = np.zeros((1, 24), np.float32), np.array([True]), np.array([False])
    for features, present in (
        ({"image": one}, {"image": no}),
        ({"image": one[:, :3]}, {"image": yes}),
        ({"heart": one}, {"heart": yes}),
        ({"image": one + np.float32(np.inf)}, {"image": yes}),
        ({"image": one}, {"image": yes, "type": np.array([True, True])}),
        ({}, {}),
    ):
        with pytest.raises(InputError):
            predictor.predict(features, present)


def test_a_changed_graph_is_refused(exported, tmp_path):
    """One byte more in model.onnx, and the folder does not open."""
    for name in ("model.json", "model.onnx"):
        (tmp_path / name).write_bytes((exported[1] / name).read_bytes())
    open_predictor(tmp_path)
    with (tmp_path / GRAPH).open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(InputError, match="export the model again"):
        open_predictor(tmp_path)
    (tmp_path / "model.json").write_bytes(msgspec.json.encode({"kind": "other"}))
    with pytest.raises(InputError, match="export it again"):
        open_predictor(tmp_path)


def test_a_graph_that_strays_leaves_nothing_behind(tmp_path, monkeypatch):
    """The folder appears only after parity is shown; a folder that exists is never touched."""
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    with pytest.raises(ParityError):
        export_model(trained("zero"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StateError, match="exists already"):
        export_model(trained("zero"), tmp_path)


def test_model_file_reaches_export(tmp_path):
    """What the aggregator writes is what the exporter reads."""
    from fedfin.model.model_file import read_model

    model = trained("mlp")
    write_model(tmp_path / "m", model)
    again = read_model(tmp_path / "m")
    assert (again.plan, again.version) == (model.plan, model.version)
    assert all(np.array_equal(value, again.tensors[name]) for name, value in model.tensors.items())
