"""`fedfin edge predict`: answers for new cases with any modality missing. Needs onnxruntime, no torch."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command
from fedfin.encoders.bundle import ImageRecipe, TextRecipe
from fedfin.errors import InputError, SettingsError
from fedfin.plain_text import plain_text

if TYPE_CHECKING:
    from fedfin_edge.cases.digests import Input
    from fedfin_edge.cases.encoder import Encoder
    from fedfin_edge.cases.problem import Problem
    from fedfin_edge.predict.prediction import Answer

Cases = list[tuple[str, Mapping[str, "Input"]]]


_DESCRIPTION = """\
Probability of each label per case; which modalities were given, which were imputed. "(1% known)" after an imputed one
says how much of the variance of its features the model can tell from those given: of 1% next to nothing.
Cases come from a table with one column per modality, or one case from --image and --text."""


def add(commands: Commands) -> None:
    """Add `predict` to the parser of `fedfin edge`."""
    parser = add_command(
        commands,
        "predict",
        "answer for cases with any modality missing",
        example="fedfin edge predict --model model --bundle bundles/image --image chest.png",
        description=_DESCRIPTION,
    )
    parser.add_argument("--model", metavar="FOLDER", type=Path, required=True, help="an exported model")
    parser.add_argument(
        "--bundle",
        metavar="PATH",
        type=Path,
        action="append",
        required=True,
        help="an encoder bundle; repeat",
    )
    parser.add_argument(
        "--cases", metavar="TABLE", type=Path, help=".csv, .jsonl, .xlsx or .parquet, a column per modality"
    )
    parser.add_argument("--image", metavar="FILE", type=Path, help="the case's image (PNG, JPEG, DICOM)")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--text", metavar="STRING", help="the case's text")
    text.add_argument("--text-file", metavar="FILE", type=Path, help="a UTF-8 file with the case's text")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer every case. Exit code 4 when not one could be answered."""
    from fedfin_edge.predict.prediction import open_encoders, predict_case
    from fedfin_edge.predict.predictor import open_predictor

    single = any(value is not None for value in (args.image, args.text, args.text_file))
    if single == (args.cases is not None):
        raise SettingsError("give either --cases TABLE, or one case by --image and --text")
    predictor = open_predictor(args.model)
    encoders = open_encoders(predictor, args.bundle)
    cases, problems = (_one_case(args, encoders), []) if single else _table(args.cases, encoders)
    answers = [predict_case(predictor, encoders, case, inputs) for case, inputs in cases]
    if args.json:
        _show_json(predictor.version, answers, problems)
    else:
        _show(answers, problems)
    return 0 if any(answer.answered for answer in answers) else InputError.exit_code


def _one_case(args: argparse.Namespace, encoders: Mapping[str, "Encoder"]) -> Cases:
    inputs: dict[str, Input] = {}
    if args.image is not None:
        inputs[_modality("image", encoders)] = args.image
    text = _read_text(args.text_file) if args.text_file is not None else args.text
    if text is not None:
        if not text.strip():
            raise InputError("the text is blank: leave it out, and its features are imputed")
        inputs[_modality("text", encoders)] = text
    return [("case", inputs)]


def _modality(kind: str, encoders: Mapping[str, "Encoder"]) -> str:
    """The one modality whose bundle takes images, or text, whatever the plan calls it."""
    recipe = {"image": ImageRecipe, "text": TextRecipe}[kind]
    names = [name for name, encoder in encoders.items() if isinstance(encoder.manifest.recipe, recipe)]
    if len(names) != 1:
        raise SettingsError(f"--{kind} needs exactly one --bundle that takes {kind}; {len(names)} were given")
    return names[0]


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def _table(path: Path, encoders: Mapping[str, "Encoder"]) -> tuple[Cases, list["Problem"]]:
    """The table's cases; only columns that it has are read, so that a modality may be missing altogether."""
    from fedfin_edge.cases.read_rows import read_rows
    from fedfin_edge.cases.table import input_column, parse_rows
    from fedfin_edge.site import CaseColumns

    rows = read_rows(path)
    wanted = {name: input_column(name, encoder.manifest) for name, encoder in encoders.items()}
    inputs = {name: column for name, column in wanted.items() if name in rows.columns}
    if not inputs:
        raise InputError(f"{path}: has none of the columns {', '.join(wanted)}; name a column per modality")
    table = parse_rows(path, rows, CaseColumns(table=str(path)), inputs, settings="--cases")
    return [(case.case, case.inputs) for case in table.cases], table.problems


def _show_json(version: int, answers: "list[Answer]", problems: "list[Problem]") -> None:
    cases, found = [asdict(answer) for answer in answers], [asdict(problem) for problem in problems]
    print(json.dumps({"model_version": version, "cases": cases, "problems": found}, indent=2))


def _show(answers: "list[Answer]", problems: "list[Problem]") -> None:
    for problem in problems:
        column = f"{problem.column}: " if problem.column else ""
        print(f"row {problem.row}: {column}{problem.reason} ({problem.effect})")
    for answer in answers:
        _show_one(answer)


def _show_one(answer: "Answer") -> None:
    shares = "  ".join(f"{plain_text(label)} {share:.3f}" for label, share in answer.probability.items())
    print(f"{plain_text(answer.case)}: {shares or 'not answered: no input could be used'}")
    if answer.answered:
        imputed = ", ".join(f"{m} ({answer.explained[m]:.0%} known)" for m in answer.imputed) or "nothing"
        print(f"  given: {', '.join(answer.given)}; imputed: {imputed}")
    for modality, reason in answer.left_out.items():
        print(f"  {modality} left out: {reason}")
    for modality, notes in answer.noted.items():
        print(f"  {modality} noted: {'; '.join(notes)}")
