"""The `fedfin` command: finds the group of sub-commands, loads only that, turns errors into exit codes.

Each group is a module with `build(parser)`, which adds its sub-commands to an argparse parser and sets
`run` on each: a function of the parsed arguments that returns an exit code. Heavy imports (torch,
onnxruntime) belong inside those functions, so that `--help` answers at once.
"""

import argparse
import contextlib
import errno
import importlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType

from fedfin import __version__
from fedfin.command_line import checkout, standard_output
from fedfin.errors import FedfinError, MissingExtraError, StateError
from fedfin.files import no_access
from fedfin.plain_text import plain_lines

# group -> (module, one line for the overview). Names, not imports: nothing loads before it is asked for,
# and `fedfin` stays independent of the parts that build on it.
GROUPS: dict[str, tuple[str, str]] = {
    "broker": ("fedfin.broker.cli", "the broker: certificates and configuration; find out what is wrong"),
    "demo": ("fedfin.demo.cli", "a whole federation on this machine"),
    "export": ("fedfin_export.cli", "turn encoders into quantized ONNX bundles; export a trained model"),
    "edge": ("fedfin_edge.cli", "a site: set up, encode cases, train, predict"),
    "aggregator": ("fedfin_aggregator.cli", "the aggregator: set up from a plan, serve, show results"),
    "bench": ("benchmarks.cli", "measure what it costs, from a source checkout"),
    "study": ("benchmarks.study.cli", "compare methods in many settings, from a source checkout"),
}

# module that is missing -> (what for, the extra that brings it)
EXTRA_OF = {
    "torch": ("training", "edge"),
    "onnxruntime": ("running encoders and models", "predict"),
    "tokenizers": ("reading text", "predict"),
    "PIL": ("reading images", "predict"),
    "pydicom": ("reading DICOM", "predict"),
    "pynetdicom": ("receiving DICOM", "hospital"),
    "dicomweb_client": ("reading from DICOMweb", "hospital"),
    "hl7": ("reading HL7", "hospital"),
    "requests": ("reading from FHIR", "hospital"),
    "onnx": ("exporting", "export"),
    "onnxscript": ("exporting", "export"),
    "transformers": ("exporting a Hugging Face encoder", "export"),
    "amqtt": ("the embedded broker", "broker"),
    "openpyxl": ("reading Excel workbooks", "tables"),
    "pyarrow": ("reading Parquet files", "tables"),
    "matplotlib": ("the study's plots", "bench"),
}


_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit codes are those of `fedfin.errors`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parse(arguments)
        with _sigterm_heeded():
            code = int(args.run(args))
        sys.stdout.flush()
    except FedfinError as error:
        print(f"fedfin: {plain_lines(str(error))}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA_OF:
            raise
        missing = MissingExtraError(*EXTRA_OF[error.name.partition(".")[0]])
        print(f"fedfin: {missing}", file=sys.stderr)
        return missing.exit_code
    except KeyboardInterrupt:
        print("fedfin: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        standard_output.drop(sys.stdout)
        return 141
    except OSError as error:
        if error.errno not in _NO_ACCESS:
            raise
        print(f"fedfin: {plain_lines(no_access(error))}", file=sys.stderr)
        return StateError.exit_code
    return code


@contextlib.contextmanager
def _sigterm_heeded() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, with its last words; as process 1, too, where it would do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _parse(arguments: list[str]) -> argparse.Namespace:
    group = next((word for word in arguments if word in GROUPS), None)
    parser = argparse.ArgumentParser(
        prog="fedfin",
        description="Train one multimodal classifier across hospitals, without moving a record.",
        epilog="example: fedfin demo    (a whole federation on this machine, in a few minutes)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fedfin {__version__}")
    groups = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, summary) in GROUPS.items():
        child = groups.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == group:
            _load(module).build(child)
    return parser.parse_args(arguments)


def _load(module: str) -> ModuleType:
    """A group's module. Raises StateError for one of a source checkout where there is none."""
    if module.partition(".")[0] == "benchmarks":
        checkout.make_importable()
    return importlib.import_module(module)
