"""What is timed and counted, by name. Each is made in a process of its own, with so many threads.

One case throughout, but for `train-...` and `task-...`, which say how many.
"""

from functools import partial
from typing import get_args

from benchmarks.costs.compute.encoder_subjects import WORDS, encode, encoder
from benchmarks.costs.compute.fusion_subjects import FINS, answer, imputation, model_of, predict
from benchmarks.costs.compute.materials import IMAGE, TEXT
from benchmarks.costs.compute.rival_subjects import PUBLIC, r2gen, r2gen_whole, report_decoder, retrieval
from benchmarks.costs.compute.subject import Entry
from benchmarks.costs.compute.training_subjects import TRAINED_BATCH, TRAINED_CASES, site_task, train_encoders
from fedfin.model.model_spec import Task
from fedfin.plan_sections import Model

SUBJECTS: dict[str, Entry] = {
    "image-float": Entry("image encoder, float", partial(encoder, IMAGE, "float")),
    "image-int8": Entry("image encoder, int8", partial(encoder, IMAGE, "int8")),
    "text-float": Entry(f"text encoder, float, {WORDS} words", partial(encoder, TEXT, "float")),
    "text-int8": Entry(f"text encoder, int8, {WORDS} words", partial(encoder, TEXT, "int8")),
    **{
        f"fin-{fin}": Entry(f"FIN {fin}, 1280 + 384 features", partial(imputation, model_of(fin), False))
        for fin in FINS
    },
    "fin-gaussian-64": Entry(
        "FIN gaussian, the demo's columns", partial(imputation, model_of("gaussian"), True)
    ),
    "answer": Entry("answer from features, 1280 + 384", partial(answer, model_of("gaussian"), False)),
    "answer-experts": Entry(
        "closed forms alone, 1280 + 384", partial(answer, Model(answer="experts"), False)
    ),
    "answer-64": Entry(
        "answer from features, the demo's columns", partial(answer, model_of("gaussian"), True)
    ),
    "retrieval": Entry(f"retrieval over {PUBLIC:,} public cases", retrieval),
    "report-decoder": Entry("report decoder on frozen features", report_decoder),
    "r2gen-60": Entry("R2Gen, two views, 60 words", partial(r2gen, 60)),
    "r2gen-100": Entry("R2Gen, two views, 100 words", partial(r2gen, 100)),
    "predict-image": Entry("predict, image alone, text imputed", partial(predict, "gaussian", False)),
    "predict-image-zero": Entry("predict, image alone, nothing imputed", partial(predict, "zero", False)),
    "predict-both": Entry("predict, image and report", partial(predict, "gaussian", True)),
    "r2gen-whole": Entry("R2Gen end to end: read, write, encode, answer", r2gen_whole),
    "encode-image": Entry("encode an image, from its file", partial(encode, IMAGE)),
    "encode-text": Entry("encode a report", partial(encode, TEXT)),
    **{
        f"task-{task}": Entry(f"site's task: {task}", partial(site_task, task), TRAINED_CASES)
        for task in get_args(Task)
    },
    "train-encoders": Entry("train the paper's encoders, a step", train_encoders, TRAINED_BATCH),
}
