"""A user's mistake gets one message: the reason, the file and line where there is one, and exit code 4."""

import json
import re

import pytest
import torch
import transformers

from fedfin.errors import InputError
from fedfin_export.quiet import quiet
from fedfin_export.sources import xrv

SOURCE = """\
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3, stride=4)
    def features(self, x):
        return self.convolution(x).mean((2, 3))

class Branch(Base):
    def forward(self, x):
        if x.mean() > 0: x = x * 2  # BRANCH
        return self.features(x)

class Loop(Base):
    def forward(self, x):  # LOOP
        return torch.cat([self.features(x[i : i + 1]) for i in range(x.shape[0])])

class Fails(Base):
    def forward(self, x):
        return self.features(x) @ torch.zeros(3, 3)  # FAILS

def needs_argument(path):  # ARGUMENT
    return Base()

def raises():
    raise RuntimeError("no luck")  # RAISES

def nothing():
    pass

def cuda():
    return Base().to("cuda")  # CUDA

def missing():
    return torch.load("absent/model.pth")  # MISSING

def parallel():
    state = nn.DataParallel(Base()).state_dict()
    Base().load_state_dict(state)  # PARALLEL

state = Base().state_dict()
"""

MISTAKES = [
    ("Branch", "it decides by the values in a tensor", "BRANCH"),
    ("Loop", "it works only for as many cases as it is traced with", "LOOP"),
    ("Fails", r"fails on an input of shape \(2, 1, 32, 32\)", "FAILS"),
    ("needs_argument", "missing 1 required positional argument: 'path'", "ARGUMENT"),
    ("raises", "your code raises RuntimeError: no luck", "RAISES"),
    ("nothing", "gives a NoneType, not a torch.nn.Module", None),
    ("missing", "No such file or directory: 'absent/model.pth'", "MISSING"),
    ("parallel", "DataParallel: take `module.` off their names", "PARALLEL"),
    ("state", "gives a OrderedDict, not a torch.nn.Module", None),
    ("absent", "has no `absent`", None),
]


def check_one_message(code, errors, message):
    """Exit code 4, the message in one line, no traceback, no colour codes."""
    lines = [line for line in errors.splitlines() if "exporting;" not in line]
    assert code == InputError.exit_code, errors
    assert len(lines) == 1, errors
    assert re.search(message, lines[0]), lines[0]
    assert "\x1b" not in errors


@pytest.mark.parametrize(("name", "message", "mark"), MISTAKES)
def test_a_module_of_the_user_s_own(name, message, mark, tiny, export, tmp_path):
    """What is wrong, and the line of the user's file that holds it."""
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    tiny[1] = f"{path}:{name}"
    code, _, errors = export(tmp_path / "out", *tiny)
    check_one_message(code, errors, message)
    if mark:
        line = next(n for n, text in enumerate(SOURCE.splitlines(), 1) if text.endswith(f"# {mark}"))
        assert f"{path} line {line}: " in errors


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there: nothing is missing")
def test_a_module_that_wants_cuda(tiny, export, tmp_path):
    """Whatever torch says of it, with the line."""
    (tmp_path / "mine.py").write_text(SOURCE)
    tiny[1] = f"{tmp_path / 'mine.py'}:cuda"
    code, _, errors = export(tmp_path / "out", *tiny)
    check_one_message(code, errors, r"mine.py line \d+: return Base\(\).to\(\"cuda\"\).*on the CPU")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("open('absent/weights.pth')", r"'absent/weights.pth', .*mine.py line 1: open"),
        ("import absent_library", r"no module named absent_library, .*mine.py line 1: import"),
        ("def make(:", r"SyntaxError.*mine.py"),
    ],
)
def test_a_file_that_cannot_be_run(source, message, tiny, export, tmp_path):
    """The file or library that is missing is named, not the module."""
    (tmp_path / "mine.py").write_text(source)
    tiny[1] = f"{tmp_path / 'mine.py'}:make"
    code, _, errors = export(tmp_path / "out", *tiny)
    check_one_message(code, errors, message)


def test_a_file_that_is_not_there(tiny, export, tmp_path):
    """The path itself is wrong."""
    tiny[1] = f"{tmp_path / 'absent.py'}:make"
    code, _, errors = export(tmp_path / "out", *tiny)
    check_one_message(code, errors, "there is no file .*absent.py; check the path")


PREPROCESSOR = {"image_processor_type": "ViTImageProcessor", "size": 32}


@pytest.fixture
def vit(tmp_path):
    """Make a folder with a tiny ViT as transformers saves it."""

    def make(preprocessor=PREPROCESSOR, **options):
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "intermediate_size": 16, "image_size": 32, "patch_size": 16}
        config = transformers.ViTConfig(num_hidden_layers=1, num_attention_heads=2, **sizes, **options)
        folder = tmp_path / "vit"
        with quiet():
            transformers.ViTModel(config).save_pretrained(folder)
        if preprocessor is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        return folder

    return make


@pytest.fixture
def export_folder(export, images, tmp_path):
    """Export a Hugging Face folder, calibrated on the images."""

    def run(folder, *options):
        return export(tmp_path / "out", "--hf", str(folder), "--calibrate", str(images), *options)

    return run


def change_config(folder, **settings):
    """Change keys of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_folder_without_preprocessor_file(vit, export_folder):
    """Not read as a text encoder."""
    code, _, errors = export_folder(vit(preprocessor=None))
    check_one_message(code, errors, "reads pixel_values, not text, and has no preprocessor_config.json")


def test_a_timm_model(vit, export_folder):
    """The way that does work is named."""
    folder = vit()
    change_config(folder, model_type="timm_wrapper")
    code, _, errors = export_folder(folder)
    check_one_message(code, errors, "holds a timm model.*--torch")


def test_weights_of_another_size(vit, export_folder):
    """A checkpoint beside the config.json of another model."""
    folder = vit()
    change_config(folder, hidden_size=32)
    code, _, errors = export_folder(folder)
    check_one_message(code, errors, r"not have the sizes of its config.json: \S+ is \[.*16\], not \[.*32\]")


def test_weights_that_lack_a_layer(vit, export_folder):
    """Transformers would make the layer up, and its features would be noise."""
    folder = vit()
    change_config(folder, num_hidden_layers=2)
    code, _, errors = export_folder(folder)
    check_one_message(code, errors, r"its weights lack \d+ of the model's tensors, \S+ first")


def test_inputs_that_the_model_does_not_take(vit, export_folder):
    """Pixels of 64 into a model of 32."""
    code, _, errors = export_folder(vit(PREPROCESSOR | {"size": 64}))
    check_one_message(code, errors, r"fails on an input of shape \(2, 3, 64, 64\).*64.*32")


def test_a_pointer_of_git_lfs(vit, export_folder):
    """What a clone without Git LFS holds instead of weights."""
    folder = vit()
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    code, _, errors = export_folder(folder)
    check_one_message(code, errors, "model.safetensors: is a pointer of Git LFS.*git lfs pull")


def test_damaged_weights(vit, export_folder):
    """A download that broke off."""
    folder = vit()
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:100])
    code, _, errors = export_folder(folder)
    check_one_message(code, errors, "vit: transformers cannot load it")


def test_a_model_of_one_channel(vit, export_folder):
    """Its processor makes three."""
    code, _, errors = export_folder(vit(num_channels=1))
    check_one_message(code, errors, r'takes 1 channel\(s\) and its recipe makes 3.*"channels": 1')


def test_a_checkpoint_without_pooler_is_pooled_by_the_mean(vit):
    """Transformers would make up a random pooler, another one at each export."""
    from fedfin_export.sources import hugging_face

    folder = vit()
    transformers.ViTModel.from_pretrained(folder, add_pooling_layer=False).save_pretrained(folder)
    module = hugging_face.load(folder, None, None).module
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        hidden = module.model(pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(module(pixels), hidden.mean(1))


@pytest.fixture
def network():
    """A small network in place of the library's."""
    torch.manual_seed(0)
    return torch.nn.Linear(2, 2)


def test_empty_weights_are_refused(network, tmp_path):
    """What a full disk leaves."""
    (tmp_path / "empty.pth").touch()
    with pytest.raises(InputError, match=r"empty.pth: is empty"):
        xrv.load_state(network, tmp_path / "empty.pth")


def test_weights_of_data_parallel_are_loaded(network, tmp_path):
    """Their names begin with `module.`, and they are the same weights."""
    torch.save(torch.nn.DataParallel(torch.nn.Linear(2, 2)).state_dict(), tmp_path / "parallel.pth")
    xrv.load_state(network, tmp_path / "parallel.pth")
    state = torch.load(tmp_path / "parallel.pth", weights_only=True)
    assert torch.equal(network.weight, state["module.weight"])


@pytest.mark.parametrize("content", [{}, {"weight": torch.zeros(3, 3)}, [1, 2]])
def test_weights_of_another_model_are_refused(content, network, tmp_path):
    """With what torch says about them, in one line."""
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other.pth: not this model's state dict \(.+\); save one"):
        xrv.load_state(network, tmp_path / "other.pth")
