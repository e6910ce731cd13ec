"""Plans are measured before anything is made of them: from the network, from a file, from a model file."""

from pathlib import Path

import msgspec
import pytest
from peak_memory import peak_mb

from fedfin import limits
from fedfin.command_line.main import main
from fedfin.errors import InputError, ProtocolError
from fedfin.model.model_file import read_model
from fedfin.model.plan_file import plan_toml
from fedfin.model.plan_size import check_moments, check_size
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol.messages.channels import DownControl
from fedfin.protocol.messages.joining import Welcome
from fedfin.protocol.messages.message import decode

DIGEST = "a" * 64


def plan(*dims: int, labels: int = 2, **model) -> Plan:
    return Plan(
        federation="ward",
        labels=tuple(f"label-{i}" for i in range(labels)),
        modalities=tuple(Modality(name=f"m{i}", encoder=DIGEST, dim=dim) for i, dim in enumerate(dims)),
        model=Model(**model),
    )


HUGE = {
    "model.fin_width = 4096": plan(8, 8, fin="decoder", fin_width=4096, fin_layers=4),
    "model.head_width = 4096": plan(4096, 4096, 4096, fin="zero", answer="head", head_width=4096),
    "model.basis_total = 16384": plan(8, 8, basis_total=16_384),
    "modalities.dim = 65536": plan(65_536, 65_536),
    "the number of labels, 1024": plan(*[8] * 64, labels=1024, fin="zero", answer="head"),
}


@pytest.mark.parametrize("key", HUGE)
def test_a_plan_that_is_too_large_is_refused_with_the_key_to_lower(key: str) -> None:
    """By what it makes, not by any one of its numbers."""
    with pytest.raises(ValueError, match=f"at most 33,554,432 are allowed; lower .*{key}"):
        check_size(HUGE[key])


def test_a_plan_of_more_tensors_than_an_update_can_carry_is_refused() -> None:
    """64 modalities have 12,096 tensors of pairs."""
    with pytest.raises(ValueError, match=r"tensors, at most 4,096 are allowed; name fewer modalities"):
        check_size(plan(*[1] * 64, answer="head", basis_total=0))


@pytest.mark.parametrize("fin", ["zero", "mean", "uniform", "mlp", "decoder", "gaussian", "refined"])
def test_the_plans_that_people_have_are_far_from_the_limit(fin: str) -> None:
    """An image and a text encoder of usual sizes, and a table of laboratory values."""
    check_size(plan(1280, 768, 64, fin=fin, labels=14))


def test_a_plan_of_more_second_moments_than_a_site_may_send_is_not_begun(tmp_path: Path, capsys) -> None:
    """However a site parts its cases: 12.5 MB went past the limit of 6 in silence. Exit code 3, and nothing is made."""
    path = tmp_path / "plan.toml"
    path.write_text(plan_toml(plan(1280, 768, 384, labels=14)))
    assert main(["aggregator", "init", str(path), str(tmp_path / "chest")]) == 3
    said = capsys.readouterr().err
    assert f"{path}: a site would send 12." in said
    assert "at most 6 MB are allowed; lower modalities.dim" in said
    assert not (tmp_path / "chest").exists()


@pytest.mark.parametrize(
    "changed", [{"dims": (1280, 384)}, {"dims": (160,) * 8}, {"answer": "head", "fin": "mlp"}]
)
def test_what_the_limit_of_second_moments_allows_a_site_sends(changed) -> None:
    """The default over usual encoders, many modalities of few columns, and a plan that asks for none of them."""
    dims, model = changed.get("dims", (1280, 768, 384)), {k: v for k, v in changed.items() if k != "dims"}
    check_moments(plan(*dims, labels=14, **model))


def test_a_small_welcome_makes_no_gigabytes() -> None:
    """869 bytes made 7 GB: the plan is refused when it is decoded, and the error names the key."""
    with pytest.raises(ValueError, match="basis_total"):
        Welcome(run="0" * 16, plan=HUGE["model.basis_total = 16384"])
    welcome = msgspec.msgpack.encode(
        {
            "v": 1,
            "kind": "welcome",
            "run": "0" * 16,
            "plan": msgspec.to_builtins(HUGE["model.basis_total = 16384"]),
        }
    )
    assert len(welcome) < 1200
    with pytest.raises(ProtocolError, match=r"lower model\.basis_total"):
        decode(welcome, DownControl)


def test_the_largest_plan_that_is_taken_makes_a_first_model_within_memory() -> None:
    """Just below the limit of values: what a site makes of a welcome before anybody trains."""
    peak, _ = peak_mb(
        "import sys\n"
        "from fedfin.model.initial_model import initial_model\n"
        "from fedfin.model.plan_size import check_size\n"
        "from fedfin.plan import Plan\n"
        "from fedfin.plan_sections import Modality, Model\n"
        "m = tuple(Modality(name=n, encoder='a' * 64, dim=4000) for n in 'ab')\n"
        "p = Plan(federation='w', labels=('x',), modalities=m,\n"
        "         model=Model(fin='zero', answer='head', head_width=4096))\n"
        "check_size(p)\n"
        "initial_model(p)\n"
    )
    assert peak < 1000


def test_a_plan_file_that_is_too_large_is_refused_with_file_and_key(tmp_path: Path, capsys) -> None:
    """Exit code 3, and nothing is made."""
    path = tmp_path / "plan.toml"
    path.write_text(plan_toml(HUGE["model.basis_total = 16384"]))
    assert main(["aggregator", "init", str(path), str(tmp_path / "chest")]) == 3
    assert f"{path}: the plan makes" in capsys.readouterr().err
    assert not (tmp_path / "chest").exists()


def test_a_small_model_file_makes_no_gigabytes(tmp_path: Path) -> None:
    """891 bytes made 4 GB: every tensor may be written as nothing but zeros."""
    path = tmp_path / "bomb.fedfin"
    huge = HUGE["modalities.dim = 65536"]
    content = {"kind": "fedfin-model-1", "plan": msgspec.to_builtins(huge), "version": 1, "body": b"\1" * 99}
    path.write_bytes(msgspec.msgpack.encode(content))
    assert path.stat().st_size < 1200
    peak, printed = peak_mb(
        "import sys\nfrom pathlib import Path\nfrom fedfin.errors import InputError\n"
        "from fedfin.model.model_file import read_model\n"
        "try:\n    read_model(Path(sys.argv[1]))\nexcept InputError as error:\n    print(error)\n",
        path,
    )
    assert "lower modalities.dim" in printed
    assert peak < 120


def test_a_model_file_larger_than_any_model_is_not_read(tmp_path: Path) -> None:
    """A sparse file costs nothing to make."""
    path = tmp_path / "long.fedfin"
    with path.open("wb") as stream:
        stream.truncate(limits.TRANSFER_BYTES * 4)
    with pytest.raises(InputError, match="more than"):
        read_model(path)
