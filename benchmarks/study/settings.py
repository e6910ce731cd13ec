"""study.toml: which data sets are dealt how, which methods train on them, how often.

A study is closed: an unknown key is an error, and every error names the file, the key and the remedy. What many
studies need has a name here: data sets (`DATA`), settings (`SETTINGS`) and whole studies (`presets/*.toml`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from fedfin.errors import SettingsError
from fedfin.limits import LEAST_PATIENTS
from fedfin.names import Name
from fedfin.plan_sections import Fraction, Model, Positive, Scale, Training
from fedfin.settings import pattern, read_toml

PRESETS = Path(__file__).parent / "presets"
EVERY = "*"  # every method of the registry
MOST_FEATURES = 4096  # of a reduction: so many are all features of any encoder of the study, as they are

Ratio = Annotated[str, pattern(r"^\d+:\d+:\d+\Z", "three whole numbers, such as 8:0:2")]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable; an unknown key is an error."""


class Part(_Closed, frozen=True):
    """Where cases come from: a public data set by `name`, or a case table with an encoder bundle for each modality.

    `folder`: the files of a data set that cannot be fetched; `sites`: which sites get these cases, by what they hold.
    """

    name: str = ""
    folder: str = ""
    table: str = ""
    bundles: dict[str, str] = {}
    sites: Literal["any", "common", "rare", "both"] = "any"

    def __post_init__(self) -> None:
        if bool(self.name) == bool(self.table):
            raise ValueError("give either name (a public data set) or table (a CSV of cases)")
        if self.table and not self.bundles:
            raise ValueError("a table needs bundles, such as bundles = {image = 'lite0', text = 'minilm'}")


class Data(_Closed, frozen=True):
    """One data set. `modalities`: those that are used, the one that most sites hold first, the rare one last.

    It has the keys of one part, or several `parts`, joined by the names of their labels. `optional`: where its files
    are not, the study says so and goes on without it. `judge`: complete cases, or all with what was recorded of them,
    for data of which the complete ones are a single hospital's.
    """

    modalities: Annotated[tuple[Name, ...], msgspec.Meta(min_length=2)]
    name: str = ""
    folder: str = ""
    table: str = ""
    bundles: dict[str, str] = {}
    parts: tuple[Part, ...] = ()
    optional: bool = False
    judge: Literal["complete", "recorded"] = "complete"

    def __post_init__(self) -> None:
        if self.parts and (self.name or self.table):
            raise ValueError("give parts, or name, or table, not several of them")
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities: one is named twice")
        assert self.sources, "Part checks its keys"

    @property
    def sources(self) -> tuple[Part, ...]:
        """Its parts, be it one."""
        one = {key: getattr(self, key) for key in ("name", "folder", "table", "bundles")}
        return self.parts or (Part(**one),)


class Setting(_Closed, frozen=True):
    """How cases are dealt to sites. Exactly one of the first five.

    ratio: sites with the common modality, the first, alone : with all but it : with all;
    missing: every site has all modalities, each case lacks each of them at this rate, but for one that it keeps;
    patterns: every site has its own random set of modalities, two sites have all;
    recorded: every site has all that was recorded of its cases;
    hospitals: so has every site, and its cases are those of a hospital of the data.
    cases: the most that a site has, 0: no limit;
    alpha: of the Dirichlet distribution by which each class of cases is dealt over the sites, 0: evenly;
    known_labels: the share of the labels that a site knows, the others being unknown there.
    rotate: other cases judge for each seed, so that its noise is also that of the judge: for few cases.
    """

    ratio: Ratio = ""
    missing: Annotated[float, msgspec.Meta(ge=0.0, le=0.9)] = 0.0
    patterns: bool = False
    recorded: bool = False
    hospitals: bool = False
    cases: Annotated[int, msgspec.Meta(ge=0)] = 0
    alpha: Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)] = 0.0
    known_labels: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    sites: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 10
    held_out: Fraction = 0.3
    public: Fraction = 0.05
    rotate: bool = False

    def __post_init__(self) -> None:
        if bool(self.ratio) + bool(self.missing) + self.patterns + self.recorded + self.hospitals != 1:
            raise ValueError("give exactly one of ratio, missing, patterns, recorded and hospitals")
        if self.hospitals and self.alpha:
            raise ValueError("alpha deals classes over sites; with hospitals nothing is dealt")
        if self.ratio and sum(self.counts) < 2:
            raise ValueError(f"ratio {self.ratio}: a federation has two sites or more")
        if self.held_out + self.public >= 1 or not self.held_out:
            raise ValueError("held_out must be above 0, and held_out and public below 1 together")

    @property
    def counts(self) -> tuple[int, int, int]:
        """Sites with the common modality alone, with all others, with all."""
        common, rare, both = (int(number) for number in self.ratio.split(":"))
        return common, rare, both


class Ablation(_Closed, frozen=True):
    """A method with other values of one key of the plan's section."""

    method: str
    key: str
    values: Annotated[tuple[int | float | str, ...], msgspec.Meta(min_length=1)]
    section: Literal["model", "training"] = "model"


class Reduction(_Closed, frozen=True):
    """A method in few public dimensions: every combination of `dims` (0: all there are) and `basis`.

    The axes are of the setting's public cases, or those of the projected `bundles`, by modality, with paths from the
    working folder. A modality of no more features than `dims` stays as it is. `basis`: how many times the dimensions
    closed forms read, with random features; 1: none. `level`: "secure" trains as secure sums ask for; `least_patients`:
    the sites' floor there, 0 for none.
    """

    axes: Literal["principal", "random"]
    dims: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=0, le=MOST_FEATURES)], ...], msgspec.Meta(min_length=1)
    ]
    method: str = "fedfin"
    scale: Scale = "modality"
    level: Literal["open", "secure"] = "open"
    least_patients: Annotated[int, msgspec.Meta(ge=0)] = LEAST_PATIENTS
    bundles: dict[str, str] = {}
    basis: Annotated[tuple[Annotated[float, msgspec.Meta(ge=1, le=64)], ...], msgspec.Meta(min_length=1)] = (
        1.0,
    )


class Runs(_Closed, frozen=True):
    """Every combination of these. `methods` ["*"]: all; `seeds`: how many, 0: as many as the study says.

    `best`: each method at its best, too, besides the same recipe. `tuned_in`: the setting in which recipes are chosen
    for all of these, "": each in its own. `epochs`: local ones in every round, 0: as the study's training says.
    """

    data: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    settings: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    methods: tuple[str, ...] = ()
    ablations: tuple[Ablation, ...] = ()
    reductions: tuple[Reduction, ...] = ()
    seeds: Annotated[int, msgspec.Meta(ge=0)] = 0
    best: bool = False
    tuned_in: str = ""
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 0


class Study(_Closed, frozen=True):
    """One study. `model`, `training`: of the plan that methods start from; `join`: studies that belong to it.

    `in_order`: runs one after the other, each with all its seeds; else seed after seed.
    """

    join: tuple[str, ...] = ()
    in_order: bool = False
    seeds: Positive = 3
    rounds: Positive = 40
    model: Model = Model()
    training: Training = Training()
    data: dict[str, Data] = {}
    settings: dict[str, Setting] = {}
    runs: tuple[Runs, ...] = ()


DATA: dict[str, Data] = {
    # Two views of the same digits that tell much of each other, and two that tell little.
    "mfeat": Data(name="mfeat", modalities=("fou", "pix")),
    "mfeat-weak": Data(name="mfeat", modalities=("mor", "fou")),
    "mfeat-six": Data(name="mfeat", modalities=("fac", "fou", "kar", "mor", "pix", "zer")),
    "open-i": Data(name="open-i", modalities=("indication", "findings")),
    # Medical ones, for which an environment variable names a folder (benchmarks/data/loaders.py).
    "hancock": Data(
        name="hancock", modalities=("image", "clinical", "codes", "blood", "density"), optional=True
    ),
    "uci-heart": Data(
        name="uci-heart",
        modalities=("history", "rest", "exercise", "slope", "laboratory", "imaging"),
        optional=True,
        judge="recorded",  # the complete cases are Cleveland's
    ),
    "covid-public": Data(name="covid-public", modalities=("image", "text"), optional=True),
    "covid": Data(name="covid", modalities=("image", "text"), optional=True),
    "covid-cut": Data(name="covid-cut", modalities=("image", "text"), optional=True),
}
SETTINGS: dict[str, Setting] = {
    # Sites by modality, as in the papers (arXiv 2407.08648, 2505.20232).
    **{
        ratio: Setting(ratio=ratio)
        for ratio in ("8:0:2", "6:0:4", "4:4:2", "2:2:6", "0:6:4", "1:0:1", "1:1:0")
    },
    "40:0:10 of 10 cases": Setting(ratio="40:0:10", cases=10),
    "as recorded": Setting(recorded=True),
    "hospitals": Setting(hospitals=True),
    **{f"missing {rate} %": Setting(missing=rate / 100) for rate in (10, 20, 30, 40, 50)},
    "patterns": Setting(patterns=True),
    "8:0:2 non-IID": Setting(ratio="8:0:2", alpha=0.3),
    "8:0:2 half the labels": Setting(ratio="8:0:2", known_labels=0.5),
    "patterns non-IID": Setting(patterns=True, alpha=0.3),
}


def presets() -> dict[str, str]:
    """The studies that come with the project, by name, with the first line of each."""
    files = sorted(PRESETS.glob("*.toml"))
    return {path.stem: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in files}


def read_study(spec: str) -> list[Study]:
    """A study by its file or its preset's name, and those that it joins. Raises SettingsError.

    Paths in a file are from its folder, those in a preset from the working folder.
    """
    return _read(spec, Path(), ())


def _read(spec: str, folder: Path, above: tuple[Path, ...]) -> list[Study]:
    path, base = _locate(spec, folder)
    if path in above:
        raise SettingsError(f"{path}: key join: the study joins itself; remove it there")
    study = read_toml(path, Study, what="study")
    _check(path, study)
    based = msgspec.structs.replace(study, data={n: _based(d, base) for n, d in study.data.items()})
    return [based, *(one for other in study.join for one in _read(other, path.parent, (*above, path)))]


def _locate(spec: str, folder: Path) -> tuple[Path, Path]:
    """The file, and the folder from which its paths are."""
    if spec in presets():
        return PRESETS / f"{spec}.toml", Path()
    path = folder / spec
    if path.suffix != ".toml":
        raise SettingsError(
            f"{spec}: is no preset ({', '.join(presets())}) and no file of the form study.toml"
        )
    return path, path.parent


def _based(data: Data, base: Path) -> Data:
    """With paths from the working folder."""

    def based(part: Any) -> dict[str, Any]:
        paths = {key: str(base / getattr(part, key)) for key in ("folder", "table") if getattr(part, key)}
        return {**paths, "bundles": {m: str(base / path) for m, path in part.bundles.items()}}

    parts = tuple(msgspec.structs.replace(part, **based(part)) for part in data.parts)
    return msgspec.structs.replace(data, parts=parts, **based(data))


def _check(path: Path, study: Study) -> None:
    """Names must be known."""
    if not study.runs and not study.join:
        raise SettingsError(f"{path}: key runs: there are none; add [[runs]] with data, settings and methods")
    data, settings = DATA | study.data, SETTINGS | study.settings
    for number, runs in enumerate(study.runs):
        where = f"{path}: key runs[{number}]"
        _known(f"{where}.data", runs.data, data)
        _known(f"{where}.settings", runs.settings, settings)
        if runs.tuned_in:
            _known(f"{where}.tuned_in", (runs.tuned_in,), settings)
            _check_judges(f"{where}.tuned_in", settings[runs.tuned_in], [settings[s] for s in runs.settings])


def _check_judges(where: str, tuned: Setting, settings: Sequence[Setting]) -> None:
    """No case that a recipe was chosen on may judge it."""
    if tuned.rotate or any((s.held_out, s.rotate) != (tuned.held_out, False) for s in settings):
        raise SettingsError(
            f"{where}: other cases judge there; name a setting of the same held_out, without rotate, or none"
        )


def _known(where: str, names: tuple[str, ...], known: Mapping[str, object]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise SettingsError(f"{where}: {unknown[0]!r} is not one of {', '.join(known)}")
