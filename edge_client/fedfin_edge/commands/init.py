"""`fedfin edge init`: set up a site's folder from its case table and encoder bundles."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fedfin.broker.check.finding import Verdict
from fedfin.command_line import broker_options
from fedfin.command_line.parsers import Commands, add_command
from fedfin.encoders.bundle import ImageRecipe, TextRecipe, read_manifest
from fedfin.errors import InputError, SettingsError, StateError
from fedfin.files import make_folder, write_atomically
from fedfin.folders import warn_if_open
from fedfin.link.broker_url import BrokerUrl
from fedfin.settings import explain, read_toml
from fedfin_edge.doctor.secrets import secrets
from fedfin_edge.intake.section import section_lines
from fedfin_edge.questions import ask_connection
from fedfin_edge.site import INTAKE_TABLE, SETTINGS, STATE, Policy, Site, SiteSettings

if TYPE_CHECKING:
    from fedfin_edge.cases.table import Table

_DESCRIPTION = """\
Make a site folder: site.toml, and state/ for what the agent must remember. The bundles are checked; each
one's manifest names its modality, whose inputs are in the table's column of that name unless --column says
otherwise. The table is checked too: a .csv, .jsonl, .xlsx or .parquet file with one row per case. An existing
site.toml is never overwritten. At a terminal, without --broker, it asks for the way to the broker: proxy, CA bundle,
users and passwords, which go into files of the folder that only their owner can read."""
_EXAMPLE = """\
  fedfin edge init st-mary --site st-mary --federation chest --broker mqtts://broker.example --ca ca.pem \\
      --cases cases.csv --bundle bundles/image --bundle bundles/text --column text=report"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "init", "set up a site's folder", example=_EXAMPLE, description=_DESCRIPTION
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the site folder to make")
    parser.add_argument("--site", required=True, metavar="ID", help="this site's id: a-z, 0-9, - and _")
    parser.add_argument("--federation", required=True, metavar="NAME", help="the federation to join")
    broker_options.add(parser, required=False)
    cases = parser.add_mutually_exclusive_group(required=True)
    cases.add_argument("--cases", type=Path, metavar="TABLE", help="the case table")
    cases.add_argument(
        "--intake", action="store_true", help="no table: `fedfin edge intake` takes the cases; needs --label"
    )
    parser.add_argument("--bundle", required=True, type=Path, action="append", metavar="PATH",
                        help="an encoder bundle; once per modality")  # fmt: skip
    parser.add_argument("--label", action="append", metavar="NAME",
                        help="a label column that this site answers for (default: all there are)")  # fmt: skip
    parser.add_argument("--column", action="append", default=[], metavar="MODALITY=NAME",
                        help="the table's column of a modality, where it is called otherwise")  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check everything, then write site.toml. Raises SettingsError, BundleError, InputError, StateError."""
    folder: Path = args.folder
    if (folder / SETTINGS).exists():
        raise StateError(f"{folder / SETTINGS} exists already; choose another folder, or delete it first")
    if folder.exists() and not folder.is_dir():
        raise StateError(f"{folder} is a file; choose another name for the site folder")
    passwords = ask_connection(args) if args.broker is None else {}
    BrokerUrl.parse(args.broker)
    settings = _settings(args, lambda path: _from(folder, path))
    if args.intake:
        return _init_intake(folder, settings, passwords)
    # "a/b/.." needs a folder "a/b", which is not made before everything is known to be right.
    table = _check_table(Site(folder, _settings(args, lambda path: str(path.absolute()))))
    cases = msgspec.structs.replace(settings.cases, labels=tuple(table.labels))
    _write(folder, to_toml(msgspec.structs.replace(settings, cases=cases)), passwords)
    modalities = ", ".join(f"{name} (column {each.column})" for name, each in settings.modalities.items())
    print(f"{folder / SETTINGS}: site {settings.site} of federation {settings.federation}, {modalities}")
    print(f"{len(table.cases)} cases in {args.cases}")
    print(_answered_for(table.labels))
    print(
        f"next: fedfin edge encode {folder}    then: fedfin edge request {folder} --out {settings.site}.request"
    )
    print(f"or, to try things out: fedfin edge encode {folder}, fedfin edge run {folder} --no-keys")
    return 0


def _init_intake(folder: Path, settings: SiteSettings, passwords: dict[str, str]) -> int:
    """A site whose cases are yet to come."""
    if not settings.cases.labels:
        raise SettingsError("--intake: there is no table to find labels in; name each with --label")
    _write(folder, to_toml(settings), passwords)
    print(f"{folder / SETTINGS}: site {settings.site} of federation {settings.federation}")
    print(_answered_for(list(settings.cases.labels)))
    print(f"next: write into its section [intake] what to take from where, then: fedfin edge intake {folder}")
    return 0


def _settings(args: argparse.Namespace, place: Callable[[Path], str]) -> SiteSettings:
    """The settings, with each path written as `place` says."""
    columns = _columns(args.column)
    modalities: dict[str, dict[str, str]] = {}
    for bundle in args.bundle:
        name = read_manifest(bundle).modality
        if name in modalities:
            raise SettingsError(
                f"--bundle {bundle}: a second encoder of modality {name!r}; a site has one of each"
            )
        modalities[name] = {"bundle": place(bundle), "column": columns.pop(name, name)}
    if columns:
        raise SettingsError(
            f"--column {next(iter(columns))}=…: no --bundle is of that modality; check its spelling"
        )
    raw = {
        "site": args.site,
        "federation": args.federation,
        "broker": args.broker,
        "cases": {"table": INTAKE_TABLE if args.intake else place(args.cases), "labels": args.label},
        "modalities": modalities,
    } | _access(args, place)
    if args.intake:
        raw["intake"] = _intake(args.bundle)
    try:
        return msgspec.convert(raw, SiteSettings)
    except msgspec.ValidationError as error:
        reason = explain(str(error), SiteSettings)
        raise SettingsError(f"cannot make {SETTINGS}: {reason}; correct the option of that name") from None


def _intake(bundles: list[Path]) -> dict[str, Any]:
    """Every image of a modality of images, and reports as the modality of texts, for the engineer to narrow down."""
    manifests = [read_manifest(bundle) for bundle in bundles]
    texts = [each.modality for each in manifests if isinstance(each.recipe, TextRecipe)]
    images = [{"modality": each.modality} for each in manifests if isinstance(each.recipe, ImageRecipe)]
    return {"take": images, "reports": texts[0] if texts else None}


def _access(args: argparse.Namespace, place: Callable[[Path], str]) -> dict[str, Any]:
    """What the connection needs besides the URL: the sections [tls], [login] and [proxy]; checked as `run` would."""
    found: dict[str, dict[str, str]] = {}
    if (tls := broker_options.tls(args)) is not None:
        tls.context()
        files = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
        found["tls"] = {key: place(path) for key, path in files.items() if path is not None}
    if (login := broker_options.login(args)) is not None:
        found["login"] = {"user": login.user}
        if login.password_file is not None:
            found["login"]["password_file"] = place(login.password_file)
    broker_options.proxy(args)
    if args.proxy is not None:
        found["proxy"] = {"url": args.proxy}
        if args.proxy_user is not None:
            found["proxy"]["user"] = args.proxy_user
        if args.proxy_password_file is not None:
            found["proxy"]["password_file"] = place(args.proxy_password_file)
    return found


def _columns(options: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for option in options:
        modality, equals, column = option.partition("=")
        if not (modality and equals and column) or modality in columns:
            raise SettingsError(f"--column {option}: write MODALITY=NAME, once per modality, as in image=png")
        columns[modality] = column
    return columns


def _from(folder: Path, path: Path) -> str:
    """A relative path, and one in the site folder, as seen from there; another absolute one as it is."""
    if path.is_relative_to(folder):
        return str(path.relative_to(folder))
    return str(path) if path.is_absolute() else os.path.relpath(path, folder.resolve())


def _answered_for(labels: list[str]) -> str:
    """For the person who must know what is learnt of the cases."""
    if not labels:
        return "no label column was found: this site answers for none; name them as `labels` in site.toml, or --label"
    return f"this site answers for these labels and no others: {', '.join(labels)}"


def _check_table(site: Site) -> "Table":
    from fedfin.command_line.progress import ProgressBar
    from fedfin_edge.cases.table import read_table

    with ProgressBar() as bar:
        table = read_table(site, bar.update, find_labels=True)
    if not table.cases:
        counts = Counter((problem.column, problem.reason) for problem in table.problems)
        why = [f"  {column or 'row'}: {reason} ({count} x)" for (column, reason), count in counts.items()]
        raise InputError("\n".join([f"{site.table_path}: not one case can be used:", *why]))
    return table


def to_toml(settings: SiteSettings) -> str:
    """The settings as TOML, with comments for the person who edits them."""
    cases = settings.cases
    lines = [
        f"site = {_quote(settings.site)}",
        f"federation = {_quote(settings.federation)}",
        f"broker = {_quote(settings.broker)}",
        f"held_out = {settings.held_out}    # share of patients never trained on, kept for evaluation",
        "",
        "[cases]",
        f"table = {_quote(cases.table)}",
        f"case = {_quote(cases.case)}          # these three columns may be absent from the table",
        f"patient = {_quote(cases.patient)}",
        f"split = {_quote(cases.split)}",
        f"labels = [{', '.join(map(_quote, cases.labels or ()))}]          # what this site answers for, nothing else",
    ]
    if settings.policy != Policy():
        lines += ["", "[policy]", *_policy(settings.policy)]
    for section in ("tls", "login", "proxy"):
        if (access := getattr(settings, section)) is not None:
            lines += ["", f"[{section}]", *_given(access)]
    for name, modality in settings.modalities.items():
        lines += ["", f"[modalities.{name}]", *_given(modality)]
    if settings.intake is not None:
        lines += section_lines(settings.intake)
    return "\n".join(lines) + "\n"


def _policy(policy: Policy) -> list[str]:
    values = {key: getattr(policy, key) for key in Policy.__struct_fields__}
    return [f"{key} = {_value(value)}" for key, value in values.items() if value is not None]


def _value(value: object) -> str:
    """As TOML writes it: true and false in lower case, dates without quotes."""
    match value:
        case str():
            return _quote(value)
        case tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return str(value).lower()


def _given(section: msgspec.Struct) -> list[str]:
    """The keys of a section of texts that are set."""
    values = {key: getattr(section, key) for key in section.__struct_fields__}
    return [f"{key} = {_quote(text)}" for key, text in values.items() if text is not None]


def _quote(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, except that TOML escapes DEL too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write(folder: Path, text: str, passwords: dict[str, str]) -> None:
    """Each password in a file of its own, for its owner alone."""
    make_folder(folder)
    make_folder(folder / STATE)
    warn_if_open(folder)
    for name, password in passwords.items():
        write_atomically(folder / name, f"{password}\n".encode())
    write_atomically(folder / SETTINGS, text.encode())
    _warn_of_open_secrets(Site(folder, read_toml(folder / SETTINGS, SiteSettings, what="site settings")))


def _warn_of_open_secrets(site: Site) -> None:
    """Keys and passwords that options name stay where they are."""
    for finding in secrets(site):
        if finding.verdict is Verdict.WARN:
            print(f"fedfin: warning: {finding.says}; {finding.remedy}", file=sys.stderr)
