"""An ONNX graph at work, on the fastest processor that onnxruntime has here."""

from pathlib import Path
from typing import Any


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
