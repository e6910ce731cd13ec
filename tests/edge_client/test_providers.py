"""What encoders run on; onnxruntime of this machine has the CPU alone, so of GPUs only what is asked of it is seen."""

from pathlib import Path

import onnxruntime
import pytest
from intake_kit import make_site

from fedfin.broker.check.finding import Verdict
from fedfin.errors import SettingsError
from fedfin_edge.doctor.encoders import encoders
from fedfin_edge.providers import Providers

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


def asked(choice: str, there: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    return [name for name, _ in Providers(choice, folder).for_session("image")]


@pytest.mark.parametrize(
    ("choice", "there", "expected"),
    [
        ("auto", [CPU], [CPU]),
        ("auto", [TENSORRT, CUDA, CPU], [CUDA, CPU]),
        ("cpu", [TENSORRT, CUDA, CPU], [CPU]),
        ("cuda", [CUDA, CPU], [CUDA, CPU]),
        ("tensorrt", [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        ("tensorrt", [TENSORRT, CPU], [TENSORRT, CPU]),
    ],
)
def test_a_gpu_is_taken_where_it_is_there_and_wanted(
    choice: str, there: list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(choice, there, tmp_path, monkeypatch) == expected


@pytest.mark.parametrize("choice", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_named_with_those_that_are(choice: str, tmp_path: Path) -> None:
    """As this machine's onnxruntime has it."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SettingsError, match=rf'providers = "{choice}".*CPUExecutionProvider'):
        Providers(choice, tmp_path).for_session("image")


def test_an_engine_is_kept_and_its_first_build_announced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For each encoder its own, and for another onnxruntime, which brings another TensorRT, another."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CPU])
    (_, options), _ = Providers("tensorrt", tmp_path).for_session("image")
    assert "takes minutes" in capsys.readouterr().err
    assert (options["trt_engine_cache_enable"], options["trt_engine_cache_path"]) == (
        True,
        str(tmp_path / "image" / onnxruntime.__version__),
    )
    (tmp_path / "image" / onnxruntime.__version__ / "TensorrtExecutionProvider_1.engine").touch()
    Providers("tensorrt", tmp_path).for_session("image")
    assert capsys.readouterr().err == ""
    Providers("tensorrt", tmp_path).for_session("text")
    assert "text: TensorRT builds" in capsys.readouterr().err
    monkeypatch.setattr(onnxruntime, "__version__", "99.0.0")
    Providers("tensorrt", tmp_path).for_session("image")
    assert "image: TensorRT builds" in capsys.readouterr().err


def test_a_gpu_that_onnxruntime_gave_up_without_a_word_is_told(tmp_path: Path) -> None:
    """What it really runs on decides."""

    class OnCpu:
        def get_providers(self) -> list[str]:
            return [CPU]

    with pytest.raises(SettingsError, match="could not use it"):
        Providers("cuda", tmp_path).check(OnCpu())
    Providers("auto", tmp_path).check(OnCpu())


def test_the_doctor_says_what_encoders_run_on_and_warns_where_a_gpu_is_passed_over(
    tmp_path: Path, bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's onnxruntime, said to have CUDA, drops it from its session as one without CUDA's libraries does."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this machine has a GPU")
    site = make_site(tmp_path / "site", bundles)
    on_cpu = {finding.probe: finding for finding in encoders(site)}
    assert on_cpu["encoder image"].says.endswith(f"ms an input by {CPU}")
    assert "encoder image provider" not in on_cpu
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.warns(UserWarning, match=CUDA):
        found = {finding.probe: finding for finding in encoders(site)}
    warned = found["encoder image provider"]
    assert warned.verdict is Verdict.WARN
    assert warned.says == f"onnxruntime has cuda here and could not use it: {CPU} computes"
    assert 'providers = "cpu"' in warned.remedy
