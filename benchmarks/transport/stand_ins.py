"""The folders of a federation whose sites are stand-ins (stand_in_site.py): real but for encoders, cases, training."""

import contextlib
import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.manifests import write_manifest
from benchmarks.transport.certificates import Authority
from fedfin import limits
from fedfin.codec.presets import UpPreset
from fedfin.link.login import Login
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Level, Modality, Model, Privacy, Rounds
from fedfin.trust.accepted import CHARTER, TRUST, accept
from fedfin.trust.charter import today
from fedfin.trust.identity import make_identity
from fedfin.trust.request import Request
from fedfin_aggregator.coordinator import found
from fedfin_aggregator.store.journal import Journal

AGGREGATOR = "aggregator"
FEDERATION = "benchmark"
BUNDLES = "bundles"
DIMS = {"image": 1280, "text": 384}
NEVER_RUN = b"\x08\x0a"  # a graph of nothing but its version
LARGE, SMALL = 128, 8  # widths of the FIN decoder: updates of 5 MB and of 50 KB


def make_plan(
    *,
    sites: int,
    rounds: int,
    width: int,
    encoders: Mapping[str, str] | None = None,
    level: Level = "open",
    up: UpPreset = "exact",
) -> Plan:
    """1.25 M float32 parameters (LARGE), or 13,000 of them (SMALL, over shorter features)."""
    dims = DIMS if width == LARGE else {name: dim // 8 for name, dim in DIMS.items()}
    digests = encoders or dict.fromkeys(DIMS, "0" * 64)
    return Plan(
        federation=FEDERATION,
        privacy=Privacy(level=level),
        labels=("effusion", "mass", "nodule", "pneumonia"),
        modalities=tuple(Modality(name=name, encoder=digests[name], dim=dims[name]) for name in DIMS),
        model=Model(answer="head", fin="decoder", fin_width=width, head_width=width),
        rounds=Rounds(count=rounds, sites=sites, min_sites=sites, deadline_s=600.0),
        codec=Codec(up=up),
    )


def update_mb(plan: Plan) -> float:
    """What a site's training deltas weigh as float32, in MB of 10^6 bytes."""
    return sum(4 * math.prod(shape) for shape in task_specs(plan, "train").values()) / 1e6


def stand_in_plan(
    folder: Path,
    *,
    sites: int,
    rounds: int,
    width: int = LARGE,
    level: Level = "open",
    up: UpPreset = "exact",
) -> Plan:
    """With bundles of that name in the folder."""
    encoders = {name: write_bundle(folder / BUNDLES / name, name, dim) for name, dim in DIMS.items()}
    return make_plan(sites=sites, rounds=rounds, width=width, encoders=encoders, level=level, up=up)


@dataclass(frozen=True)
class Line:
    """Where a party finds the broker, its files for TLS by option, and who it is there, if it needs any."""

    url: str
    tls: Mapping[str, str]
    login: Login | None = None

    @property
    def options(self) -> list[str]:
        """For a command."""
        words = [word for key, path in self.tls.items() for word in (f"--{key}", path)]
        if self.login is not None:
            words += ["--user", self.login.user, "--password-file", str(self.login.password_file)]
        return words

    @property
    def settings(self) -> list[str]:
        """Lines of a site.toml."""
        lines = ["[tls]", *(f'{key} = "{path}"' for key, path in self.tls.items())] if self.tls else []
        if self.login is not None:
            lines += [
                "[login]",
                f'user = "{self.login.user}"',
                f'password_file = "{self.login.password_file}"',
            ]
        return lines


def site_names(sites: int) -> list[str]:
    """By number."""
    return [f"site-{number:02d}" for number in range(sites)]


class Folders:
    """The aggregator's folder and those of its sites; `commands` run them as `python -m ...`.

    `line`: of each party by name; `site_module`: what is run for a site, with its folder and number.
    """

    def __init__(
        self,
        folder: Path,
        line: Callable[[str], Line],
        plan: Plan,
        *,
        keys: bool = False,
        site_module: str = "benchmarks.transport.stand_in_site",
    ) -> None:
        self._folder, self._line, self._keys, self._site_module = folder, line, keys, site_module
        self.plan = plan
        self.journal = self._make(AGGREGATOR) / "journal.sqlite"
        with contextlib.closing(Journal(self.journal, create=self.plan)) as journal:
            run = journal.run
        self.sites = site_names(plan.rounds.sites)
        for name in self.sites:
            (self._make(name) / "site.toml").write_text(self._settings(name), encoding="utf-8")
        if keys:
            self._admit(run)

    @property
    def commands(self) -> dict[str, list[str]]:
        """By name: the aggregator, then the sites."""
        line = self._line(AGGREGATOR)
        serve = [
            "fedfin",
            "aggregator",
            "serve",
            str(self._folder / AGGREGATOR),
            "--broker",
            line.url,
            *([] if self._keys else ["--no-keys"]),
        ]
        serve += ["--json", *line.options]
        sites = {
            name: [self._site_module, str(self._folder / name), str(i)] for i, name in enumerate(self.sites)
        }
        return {AGGREGATOR: serve} | sites

    def _admit(self, run: str) -> None:
        """All of them by one charter."""
        coordinator = found(
            self._folder / "study",
            self.plan,
            self._request(AGGREGATOR, "aggregator", run),
            least_sites=1,
            expires=today() + dt.timedelta(days=1),
        )
        requests = [self._request(name, "site") for name in self.sites]
        coordinator.admit(requests, limits.SITE_WEIGHT, broker="", files={})
        text = (self._folder / "study" / CHARTER).read_text(encoding="utf-8")
        for name in (AGGREGATOR, *self.sites):
            accept(self._folder / name / TRUST, coordinator.charter, text)

    def _request(self, name: str, role: Literal["site", "aggregator"], run: str | None = None) -> Request:
        return Request(
            role=role,
            name=name,
            federation=self.plan.federation,
            keys=make_identity(self._folder / name / TRUST).public,
            certificate_request="",
            run=run,
            plan=self.plan.digest(),
        )

    def _make(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _settings(self, name: str) -> str:
        line = self._line(name)
        lines = [f'site = "{name}"', f'federation = "{self.plan.federation}"', f'broker = "{line.url}"']
        lines += ["[cases]", 'table = "none.csv"']
        lines += line.settings
        for modality in self.plan.dims:
            lines += [
                f"[modalities.{modality}]",
                f'bundle = "../{BUNDLES}/{modality}"',
                f'column = "{modality}"',
            ]
        return "\n".join(lines) + "\n"


def issue_certificates(folder: Path, address: str) -> tuple[str, dict[str, str]]:
    """Lines for mosquitto's configuration at the IP `address`, and the parties' files by option."""
    authority = Authority(folder)
    pair, client = authority.issue("broker", hosts=(f"IP:{address}",)), authority.issue("client")
    files = {"ca": authority.ca, "certificate": client.certificate, "key": client.key}
    lines = [f"cafile {authority.ca}", f"certfile {pair.certificate}", f"keyfile {pair.key}"]
    # mosquitto must still be able to read them when it is started by root.
    return "\n".join([*lines, "require_certificate true", "user root"]), {k: str(p) for k, p in files.items()}


def write_bundle(folder: Path, modality: str, dim: int) -> str:
    """A bundle that is only ever named, never run; its digest."""
    folder.mkdir(parents=True)
    (folder / "encoder.onnx").write_bytes(NEVER_RUN)
    return write_manifest(folder, modality, dim, name="stand-in", source="a benchmark").digest()
