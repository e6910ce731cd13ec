"""What encoders run on: the CPU, or an NVIDIA GPU through onnxruntime's CUDA or TensorRT.

All sites of a federation run the same int8 bundle, whatever they run it on: another provider adds up in another order,
so that features differ in their last digits; another bundle would be another encoder.

TensorRT builds an engine for the graph and this GPU first, which takes minutes in silence. The engine is kept; it fits
one version of TensorRT and one kind of GPU, and is built anew for another.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedfin.errors import SettingsError

if TYPE_CHECKING:
    import onnxruntime

Choice = Literal["auto", "cpu", "cuda", "tensorrt"]
_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# The next one takes what a provider cannot run of a graph.
_TRIED = {"cpu": ("cpu",), "cuda": ("cuda", "cpu"), "tensorrt": ("tensorrt", "cuda", "cpu")}


@dataclass(frozen=True)
class Providers:
    """`choice`: as site.toml has it; "auto": CUDA where this machine has it, for TensorRT wants a graph made for it.

    `engines`: where TensorRT's engines are kept.
    """

    choice: Choice
    engines: Path

    def for_session(self, name: str) -> list[tuple[str, dict[str, Any]]]:
        """What onnxruntime tries, in order, each with its options; `name` is the encoder's, for people.

        Raises SettingsError for what is not on this machine.
        """
        import onnxruntime

        there = onnxruntime.get_available_providers()
        chosen = self._chosen(there)
        if _NAMES[chosen] not in there:
            raise SettingsError(
                f'providers = "{chosen}": onnxruntime {onnxruntime.__version__} of this machine has only'
                f' {", ".join(there)}; install its build for this GPU, or write "auto"'
            )
        options = {"tensorrt": self._engine_options(name)} if chosen == "tensorrt" else {}
        return [(_NAMES[each], options.get(each, {})) for each in _TRIED[chosen] if _NAMES[each] in there]

    def passed_over(self, used: str) -> str:
        """Which GPU's provider onnxruntime was to try first and did not use, since its libraries do not load; "": none.

        used: the provider that its session has, by onnxruntime's name.
        """
        import onnxruntime

        chosen = self._chosen(onnxruntime.get_available_providers())
        return "" if _NAMES[chosen] == used else chosen

    def check(self, session: "onnxruntime.InferenceSession") -> None:
        """Where a GPU was asked for by name it must be used. Raises SettingsError."""
        if self.choice != "auto" and self.passed_over(session.get_providers()[0]):
            raise SettingsError(
                f'providers = "{self.choice}": onnxruntime could not use it, most likely for want of a library of CUDA,'
                ' cuDNN or TensorRT in the version that it wants; install that, or write "cpu"'
            )

    def _chosen(self, there: list[str]) -> Literal["cpu", "cuda", "tensorrt"]:
        if self.choice == "auto":
            return "cuda" if _NAMES["cuda"] in there else "cpu"
        return self.choice

    def _engine_options(self, name: str) -> dict[str, Any]:
        """Of TensorRT; announced where there is no engine yet. A folder for each encoder and onnxruntime."""
        import onnxruntime

        folder = self.engines / name / onnxruntime.__version__
        if not (folder.is_dir() and any(folder.glob("*.engine"))):
            print(
                f"{name}: TensorRT builds its engine now, once for this version of onnxruntime, which takes minutes; it"
                f" is kept in {folder}",
                file=sys.stderr,
                flush=True,
            )
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(folder),
            "trt_int8_enable": True,
        }


ON_CPU = Providers("cpu", Path())
