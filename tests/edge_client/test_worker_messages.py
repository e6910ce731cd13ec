"""What encoding processes and their parent tell each other arrives as it was."""

import os
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest

from fedfin.errors import BundleError, SettingsError
from fedfin_edge.cases import workers
from fedfin_edge.cases.worker_messages import (
    Outcome,
    decode_input,
    decode_outcome,
    encode_error,
    encode_input,
    encode_outcome,
)
from fedfin_edge.providers import Providers


@pytest.mark.parametrize(
    "value",
    [
        Path("images/Thorax ä.png"),
        Path(os.fsdecode(b"latin-1 \xe4.png")),
        "clear lungs, μ = 0",
        "",
    ],
)
def test_an_input_arrives_as_it_was(value):
    """A path stays a path, also one whose bytes are no UTF-8."""
    assert decode_input(encode_input(value)) == value


def test_a_vector_arrives_bit_by_bit():
    for value in (np.array([1.0, -0.1, 3e38, 1e-45], np.float32), np.zeros(0, np.float32)):
        arrived = decode_input(encode_input(value))
        assert (arrived.dtype, arrived.tobytes()) == (value.dtype, value.tobytes())


def test_features_arrive_bit_by_bit():
    """Among them those that a decimal notation would change."""
    features = np.array([1e-45, -0.0, 0.1, np.nan, np.inf], np.float32)
    outcome = decode_outcome(encode_outcome(Outcome(features, notes=("noted",))))
    assert outcome.features.dtype == np.float32
    assert outcome.features.tobytes() == features.tobytes()
    assert (outcome.reason, outcome.notes) == ("", ("noted",))


def test_a_reason_arrives_without_features():
    """Not with features of zeros."""
    assert decode_outcome(encode_outcome(Outcome(None, "the file is empty"))) == Outcome(
        None, "the file is empty"
    )


@pytest.mark.parametrize("kind", [BundleError, SettingsError])
def test_why_an_encoder_does_not_run_is_raised_where_it_arrives(kind):
    """With the message that the user reads, and with its exit code."""
    with pytest.raises(kind, match="export it again"):
        decode_outcome(encode_error(kind("b: does not run; export it again")))


@pytest.mark.parametrize("message", [b"", b"\x80\x04N.", msgspec.msgpack.encode({"code": "x"})])
def test_other_bytes_are_refused(message):
    """A pickle, for one: it is never read."""
    with pytest.raises(msgspec.MsgspecError):
        decode_outcome(message)


def test_texts_larger_than_a_pipe_holds_pass(bundles):
    """Parent and worker never wait for each other to read; outcomes come in order."""
    texts = ["clear lungs " * 40_000 if number % 3 == 0 else f"clear {number}" for number in range(12)]
    assert len(texts[0]) > workers.WAITING_BYTES
    with workers.Workers(bundles["text"], 2) as encoders:
        keys = [key for key, _ in encoders.encode(enumerate(texts))]
    assert keys == list(range(12))


def test_a_bundle_that_is_damaged_ends_the_run(tmp_path):
    """As it does in a single process."""
    with workers.Workers(tmp_path, 2) as encoders, pytest.raises(BundleError, match="no encoder bundle"):
        list(encoders.encode(enumerate(["clear", "lungs"])))


def test_a_provider_that_is_not_there_is_named_by_several_processes_too(bundles, tmp_path):
    """It is no want of memory."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has a GPU")
    providers = Providers("cuda", tmp_path)
    with (
        workers.Workers(bundles["text"], 2, providers) as encoders,
        pytest.raises(SettingsError, match='providers = "cuda"'),
    ):
        list(encoders.encode(enumerate(["clear", "lungs"])))
