"""What is timed and counted, by name. Each is made in a process of its own, with so many threads.

One case throughout, but for `train-...` and `task-...`, which say how many.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np

from benchmarks.costs.compute.materials import IMAGE, TEXT, Materials
from benchmarks.costs.onnx_nodes import Arrays, Counted, count
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.plan_sections import FinVariant, Modality, Model

if TYPE_CHECKING:  # torch and onnxruntime wait for the subjects that need them
    import torch

    from benchmarks.costs.baselines.r2gen import R2Gen
    from fedfin.fusion.model import FusionModel
    from fedfin_edge.cases.digests import Input

FULL = {IMAGE: 1280, TEXT: 384}  # features of the encoders, without a projection
LABELS = tuple(f"label-{number}" for number in range(14))
WORDS = 128  # of a report, for encoders of texts
REPORT = 60  # words of the longest report of Open-I
TRAINED_CASES = 96  # of a site that trains
TRAINED_BATCH = 4  # of encoders that train: memory
PUBLIC = 1000  # cases of a public set


@dataclass(frozen=True)
class Subject:
    """`multiply_adds`: of one call, `int8` of them in eight bits; `parameters`: values that it holds."""

    run: Callable[[], Any]
    multiply_adds: int
    parameters: int = 0
    int8: int = 0


@dataclass(frozen=True)
class Entry:
    """What a subject is called in tables, how it is made, and how many cases a call takes."""

    title: str
    make: Callable[[Materials, int], Subject]
    cases: int = 1


def providers() -> list[str]:
    """Of onnxruntime here, the fastest first; where there is only the CPU's, that."""
    import onnxruntime

    wanted = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    there = onnxruntime.get_available_providers()
    return [provider for provider in wanted if provider in there]


def open_graph(path: Path, threads: int) -> Any:
    """A session with so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=providers())


def encoder_inputs(materials: Materials, modality: str) -> Arrays:
    """Pixels of the phantom, or its report's words, repeated to WORDS."""
    from fedfin.encoders.bundle import ImageRecipe, TextRecipe, read_manifest
    from fedfin.encoders.images import read_image
    from fedfin.encoders.preprocessing import image_tensor

    recipe = read_manifest(materials.bundle(modality)).recipe
    if isinstance(recipe, ImageRecipe):
        return {recipe.input_name: image_tensor(recipe, read_image(materials.image).image)[np.newaxis]}
    assert isinstance(recipe, TextRecipe)
    words = np.arange(1000, 1000 + WORDS, dtype=np.int64)[np.newaxis]
    return {name: np.ones_like(words) if name == "attention_mask" else words for name in recipe.inputs}


def case_inputs(materials: Materials, modality: str) -> Arrays:
    """Of the case itself: pixels of the phantom, or its report's own words."""
    if modality == IMAGE:
        return encoder_inputs(materials, modality)
    from tokenizers import Tokenizer

    from fedfin.encoders.bundle import TextRecipe, read_manifest
    from fedfin.encoders.preprocessing import text_windows

    recipe = read_manifest(materials.bundle(modality)).recipe
    assert isinstance(recipe, TextRecipe)
    tokenizer = Tokenizer.from_file(str(materials.bundle(modality) / recipe.tokenizer))
    (window,) = text_windows(recipe, tokenizer, materials.text)  # phantoms' reports are short
    return dict(window.feeds)


def _encoder(modality: str, kind: str, materials: Materials, threads: int) -> Subject:
    path = materials.float_graph(modality) if kind == "float" else materials.bundle(modality) / "encoder.onnx"
    inputs = encoder_inputs(materials, modality)
    session, counted = open_graph(path, threads), count(path, inputs)
    return Subject(lambda: session.run(None, inputs), counted.total, counted.values, counted.int8)


def full_plan(model: Model) -> Plan:
    """The default's, over all features of both encoders."""
    modalities = tuple(Modality(name=name, encoder="0" * 64, dim=dim) for name, dim in FULL.items())
    return Plan(federation="costs", labels=LABELS, modalities=modalities, model=model)


def _fusion(plan: Plan) -> "tuple[FusionModel, dict[str, torch.Tensor], dict[str, torch.Tensor]]":
    """The model, and a case that has an image alone."""
    import torch

    from fedfin.fusion.model import load_model
    from fedfin.model.initial_model import initial_model

    features = {m: torch.randn(1, dim) for m, dim in plan.dims.items()}
    return (
        load_model(plan, initial_model(plan)).eval(),
        features,
        {m: torch.tensor([m == IMAGE]) for m in features},
    )


def _torch(run: Callable[[], Any], threads: int, parameters: int) -> Subject:
    """Without gradients."""
    import torch

    from benchmarks.costs.multiply_adds import multiply_adds

    torch.set_num_threads(threads)

    def inferred() -> Any:
        with torch.inference_mode():
            return run()

    return Subject(inferred, multiply_adds(inferred), parameters)


def _fin(model: Model, narrow: bool, materials: Materials, threads: int) -> Subject:
    """The imputation alone: every modality of a case from its image."""
    plan = materials.plan(msgspec.structs.replace(model, basis_total=0)) if narrow else full_plan(model)
    fusion, features, present = _fusion(plan)
    standard = fusion.standardise(features, present)
    held = sum(
        v.numel()
        for part in (fusion.fin, fusion.gaussian)
        if part is not None
        for v in part.state_dict().values()
    )
    return _torch(lambda: fusion.impute(standard, present), threads, held)


def _answer(model: Model, narrow: bool, materials: Materials, threads: int) -> Subject:
    """From features to logits: imputation, head and experts."""
    plan = materials.plan(msgspec.structs.replace(model, basis_total=0)) if narrow else full_plan(model)
    fusion, features, present = _fusion(plan)
    held = sum(value.numel() for value in fusion.state_dict().values())
    return _torch(lambda: fusion(features, present), threads, held)


@cache
def _writer(longest: int, threads: int) -> "tuple[R2Gen, Subject]":
    """R2Gen, and what it takes to write a report; one for all that ask in a process."""
    import torch

    from benchmarks.costs.baselines.r2gen import PIXELS, VIEWS, R2Gen
    from benchmarks.costs.multiply_adds import parameters

    model, views = R2Gen(longest).eval(), torch.randn(VIEWS, 3, PIXELS, PIXELS)
    return model, _torch(lambda: model(views), threads, parameters(model))


def _r2gen(longest: int, _: Materials, threads: int) -> Subject:
    return _writer(longest, threads)[1]


def _r2gen_whole(materials: Materials, threads: int) -> Subject:
    """Two views are read, a report is written and encoded, and both modalities are answered."""
    import torch

    from benchmarks.costs.baselines.r2gen import PIXELS, VIEWS
    from fedfin.encoders.images import read_image

    (writer, alone), ours = _writer(REPORT, threads), _predict("zero", True, materials, threads)
    words = torch.arange(REPORT)

    def view() -> "torch.Tensor":
        image = read_image(materials.image).image.convert("RGB").resize((PIXELS, PIXELS))
        return torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1) / 255

    def write() -> Any:
        with torch.inference_mode():
            return writer(torch.stack([view() for _ in range(VIEWS)])) + words

    return Subject(
        lambda: (write(), ours.run()),
        alone.multiply_adds + ours.multiply_adds,
        alone.parameters + ours.parameters,
        ours.int8,
    )


def _predict(fin: str, both: bool, materials: Materials, threads: int) -> Subject:
    """From the files to the answer, as `fedfin edge predict` does once it is up."""
    from fedfin_edge.predict.prediction import open_encoders, predict_case
    from fedfin_edge.predict.predictor import open_predictor

    predictor = open_predictor(materials.model(fin), threads=threads)
    encoders = open_encoders(predictor, [materials.bundle(m) for m in (IMAGE, TEXT)])
    inputs: dict[str, Input] = {IMAGE: materials.image}
    if both:
        inputs[TEXT] = materials.text
    counts = [count(materials.bundle(m) / "encoder.onnx", case_inputs(materials, m)) for m in inputs] + [
        _graph_count(predictor, materials.model(fin))
    ]
    return Subject(
        lambda: predict_case(predictor, encoders, "case", inputs),
        sum(one.total for one in counts),
        sum(one.values for one in counts),
        sum(one.int8 for one in counts),
    )


def _graph_count(predictor: Any, folder: Path) -> Counted:
    from fedfin.model.exported_model import GRAPH, present_name

    plan: Plan = predictor.plan
    inputs: dict[str, Any] = {m: np.zeros((1, dim), np.float32) for m, dim in plan.dims.items()}
    return count(folder / GRAPH, inputs | {present_name(m): np.array([m == IMAGE]) for m in plan.dims})


def _encode(modality: str, materials: Materials, _: int) -> Subject:
    """From the file or the text to features, as `fedfin edge encode` does."""
    from fedfin_edge.cases.encoder import open_encoder

    encoder = open_encoder(materials.bundle(modality))
    value = materials.image if modality == IMAGE else materials.text
    counted = count(materials.bundle(modality) / "encoder.onnx", case_inputs(materials, modality))
    return Subject(lambda: encoder.encode_noted(value), counted.total, counted.values, counted.int8)


def _task(task: Task, materials: Materials, threads: int) -> Subject:
    """A site's part in one round, on kept features; one thread, as at a site."""
    import torch

    from benchmarks.costs.multiply_adds import multiply_adds
    from benchmarks.costs.wire.site import drawn_cases
    from fedfin.model.initial_model import initial_model
    from fedfin_edge.tasks.run_task import run_task

    del threads
    torch.set_num_threads(1)
    plan = materials.plan(Model(basis_total=0))
    model, cases = initial_model(plan), drawn_cases(plan, 0)
    number = {"moments": 1, "second_moments": 2}.get(task, 3)

    def run() -> Any:
        return run_task(
            plan,
            task,
            number,
            model,
            cases,
            "site",
            progress=lambda _: None,
            stop=lambda: False,
        )

    held = sum(value.size for value in model.values())
    return Subject(run, multiply_adds(run), held)


def _train_encoders(_: Materials, threads: int) -> Subject:
    """Forward, backward and a plain step of the paper's federation, on so many cases."""
    import torch

    from benchmarks.costs.baselines.paper_federation import PIXELS, PaperModel
    from benchmarks.costs.baselines.paper_federation import WORDS as PAPER_WORDS
    from benchmarks.costs.multiply_adds import multiply_adds, parameters

    torch.set_num_threads(threads)
    model = PaperModel().train()
    images = torch.randn(TRAINED_BATCH, 3, PIXELS, PIXELS)
    words = torch.randint(1000, 30_000, (TRAINED_BATCH, PAPER_WORDS))

    def step() -> None:
        torch.autograd.backward(model(images, words).square().mean())
        with torch.no_grad():
            for value in model.parameters():
                if value.grad is not None:
                    value.sub_(value.grad, alpha=1e-4)
                    value.grad = None

    return Subject(step, multiply_adds(step), parameters(model))


def _report_decoder(_: Materials, threads: int) -> Subject:
    """The study's own writer of texts from frozen features."""
    import torch

    from benchmarks.study.methods.generative import Generative
    from benchmarks.study.methods.report_decoder import ReportDecoder

    sizes = Generative()
    decoder, features = ReportDecoder(FULL[IMAGE], sizes.words, sizes.width), torch.randn(1, FULL[IMAGE])
    counted = _torch(lambda: decoder.write(features, sizes.length), threads, 0)
    held = sum(value.numel() for value in decoder.parameters())
    # The counter knows no recurrent network, so the class's own sum is taken.
    return Subject(counted.run, round(decoder.multiply_adds(sizes.length)), held)


def _retrieval(_: Materials, __: int) -> Subject:
    """CAR-MFL (arXiv 2407.08648): the nearest of so many public cases, in all features of the image."""
    public = np.random.default_rng(0).random((PUBLIC, FULL[IMAGE]), np.float32)
    lengths, case = np.square(public).mean(axis=1), public[:1] + np.float32(0.1)

    def nearest() -> Any:
        return np.argsort(lengths - 2 * case @ public.T / FULL[IMAGE], axis=1, kind="stable")[:, :10]

    return Subject(nearest, public.size, public.size)


def model_of(fin: FinVariant) -> Model:
    """Of the decoder as the paper has it: 6 layers."""
    return Model(fin=fin, fin_layers=6 if fin == "decoder" else 2)


FINS: tuple[FinVariant, ...] = ("gaussian", "refined", "mlp", "decoder", "mean", "uniform", "zero")

SUBJECTS: dict[str, Entry] = {
    "image-float": Entry("image encoder, float", partial(_encoder, IMAGE, "float")),
    "image-int8": Entry("image encoder, int8", partial(_encoder, IMAGE, "int8")),
    "text-float": Entry(f"text encoder, float, {WORDS} words", partial(_encoder, TEXT, "float")),
    "text-int8": Entry(f"text encoder, int8, {WORDS} words", partial(_encoder, TEXT, "int8")),
    **{
        f"fin-{fin}": Entry(f"FIN {fin}, 1280 + 384 features", partial(_fin, model_of(fin), False))
        for fin in FINS
    },
    "fin-gaussian-64": Entry("FIN gaussian, the demo's columns", partial(_fin, model_of("gaussian"), True)),
    "answer": Entry("answer from features, 1280 + 384", partial(_answer, model_of("gaussian"), False)),
    "answer-experts": Entry(
        "closed forms alone, 1280 + 384", partial(_answer, Model(answer="experts"), False)
    ),
    "answer-64": Entry(
        "answer from features, the demo's columns", partial(_answer, model_of("gaussian"), True)
    ),
    "retrieval": Entry(f"retrieval over {PUBLIC:,} public cases", _retrieval),
    "report-decoder": Entry("report decoder on frozen features", _report_decoder),
    "r2gen-60": Entry("R2Gen, two views, 60 words", partial(_r2gen, 60)),
    "r2gen-100": Entry("R2Gen, two views, 100 words", partial(_r2gen, 100)),
    "predict-image": Entry("predict, image alone, text imputed", partial(_predict, "gaussian", False)),
    "predict-image-zero": Entry("predict, image alone, nothing imputed", partial(_predict, "zero", False)),
    "predict-both": Entry("predict, image and report", partial(_predict, "gaussian", True)),
    "r2gen-whole": Entry("R2Gen end to end: read, write, encode, answer", _r2gen_whole),
    "encode-image": Entry("encode an image, from its file", partial(_encode, IMAGE)),
    "encode-text": Entry("encode a report", partial(_encode, TEXT)),
    **{
        f"task-{task}": Entry(f"site's task: {task}", partial(_task, task), TRAINED_CASES)
        for task in get_args(Task)
    },
    "train-encoders": Entry("train the paper's encoders, a step", _train_encoders, TRAINED_BATCH),
}
