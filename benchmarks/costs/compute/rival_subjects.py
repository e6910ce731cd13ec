"""What others do where ours imputes: write the missing report, or take it from the nearest public case."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.costs.compute.fusion_subjects import FULL, predict
from benchmarks.costs.compute.materials import IMAGE, Materials
from benchmarks.costs.compute.subject import Subject, without_gradients

if TYPE_CHECKING:  # torch waits for the subjects that need it
    import torch

    from benchmarks.costs.baselines.r2gen import R2Gen

REPORT = 60  # words of the longest report of Open-I
PUBLIC = 1000  # cases of a public set


@cache
def _writer(longest: int, threads: int) -> "tuple[R2Gen, Subject]":
    """R2Gen, and what it takes to write a report; one for all that ask in a process."""
    import torch

    from benchmarks.costs.baselines.r2gen import PIXELS, VIEWS, R2Gen
    from benchmarks.costs.multiply_adds import parameters

    model, views = R2Gen(longest).eval(), torch.randn(VIEWS, 3, PIXELS, PIXELS)
    return model, without_gradients(lambda: model(views), threads, parameters(model))


def r2gen(longest: int, _: Materials, threads: int) -> Subject:
    """A report of so many words is written from two views."""
    return _writer(longest, threads)[1]


def r2gen_whole(materials: Materials, threads: int) -> Subject:
    """Two views are read, a report is written and encoded, and both modalities are answered."""
    import torch

    from benchmarks.costs.baselines.r2gen import PIXELS, VIEWS
    from fedfin.encoders.images import read_image

    (writer, alone), ours = _writer(REPORT, threads), predict("zero", True, materials, threads)
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


def report_decoder(_: Materials, threads: int) -> Subject:
    """The study's own writer of texts from frozen features."""
    import torch

    from benchmarks.study.methods.generative import Generative
    from benchmarks.study.methods.report_decoder import ReportDecoder

    sizes = Generative()
    decoder, features = ReportDecoder(FULL[IMAGE], sizes.words, sizes.width), torch.randn(1, FULL[IMAGE])
    counted = without_gradients(lambda: decoder.write(features, sizes.length), threads, 0)
    held = sum(value.numel() for value in decoder.parameters())
    # The counter knows no recurrent network, so the class's own sum is taken.
    return Subject(counted.run, round(decoder.multiply_adds(sizes.length)), held)


def retrieval(_: Materials, __: int) -> Subject:
    """CAR-MFL (arXiv 2407.08648): the nearest of so many public cases, in all features of the image."""
    public = np.random.default_rng(0).random((PUBLIC, FULL[IMAGE]), np.float32)
    lengths, case = np.square(public).mean(axis=1), public[:1] + np.float32(0.1)

    def nearest() -> Any:
        return np.argsort(lengths - 2 * case @ public.T / FULL[IMAGE], axis=1, kind="stable")[:, :10]

    return Subject(nearest, public.size, public.size)
