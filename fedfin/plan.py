"""The plan: everything that one federation's sites and aggregator must agree on.

A coordinator writes it as TOML; the aggregator sends it to every site that joins. It is closed (an unknown
key is an error) and its digest names the federation's rules.

A plan outlives the version that wrote it. So a key that comes later is `| msgspec.UnsetType = msgspec.UNSET`: left out
of what is encoded, and of the digest, unless a coordinator has set it. A property says what its absence means. A
version that does not know a key refuses the plan (tests/system/test_upgrades.py).
"""

import hashlib
from typing import Annotated

import msgspec

from fedfin import limits
from fedfin.codec.presets import LEVELS
from fedfin.names import Name
from fedfin.plan_sections import Closed, Codec, Modality, Model, Privacy, Rounds, Training

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
LEAST_IN_GROUPS = limits.LEAST_GROUPS * limits.LEAST_SUMMED
MOST_FOR_EXPERTS = 8  # modalities: the blend has a row for each combination of them


class Plan(Closed, frozen=True):
    """One federation's plan."""

    federation: Name
    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=1024)]
    modalities: Annotated[tuple[Modality, ...], msgspec.Meta(min_length=1, max_length=limits.MODALITIES)]
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    privacy: Privacy = Privacy()
    model: Model = Model()
    training: Training = Training()
    rounds: Rounds = Rounds()
    codec: Codec = Codec()

    def __post_init__(self) -> None:
        self._check_names()
        self._check_schedule()
        self._check_model()
        if self.privacy.summed:
            self._check_secure()
        elif self.codec.quantized:
            up = min(self.codec.ups & LEVELS.keys())
            raise ValueError(
                f'codec.up = "{up}" is for privacy.level = "secure"; at "open" set another preset, such as "exact"'
            )
        self._check_groups()
        self._check_blocks()
        self._check_answers()
        if self.privacy.noised:
            self._check_private()

    def _check_names(self) -> None:
        for what, names in (("modality", [m.name for m in self.modalities]), ("label", list(self.labels))):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} is named twice")

    def _check_schedule(self) -> None:
        if self.codec.schedule and self.codec.schedule[-1].from_round > self.rounds.count:
            raise ValueError(
                f"codec.schedule: from = {self.codec.schedule[-1].from_round} never comes;"
                f" there are {self.rounds.count} rounds of training (rounds.count)"
            )

    def _check_model(self) -> None:
        model = self.model
        if model.answer != "head" and len(self.modalities) > MOST_FOR_EXPERTS:
            raise ValueError(
                f'model.answer = "{model.answer}" is for {MOST_FOR_EXPERTS} modalities at most; there are'
                f' {len(self.modalities)}; set it to "head"'
            )
        if model.fin == "decoder" and model.fin_width % model.fin_heads:
            raise ValueError(
                f"model.fin_width ({model.fin_width}) must be a multiple of model.fin_heads ({model.fin_heads})"
            )

    def _check_secure(self) -> None:
        """What cannot be done with sums that nobody sees a part of."""
        rounds, least = self.rounds, limits.LEAST_SUMMED
        problems = {
            f"needs rounds.min_sites of {least} or more; it is {rounds.min_sites}": rounds.min_sites < least,
            f"is for at most {limits.COHORT} sites (rounds.sites)": rounds.sites > limits.COHORT,
            'needs rounds.mode = "sync": a sum has to wait for its sites': rounds.mode != "sync",
            'needs rounds.late = "reject": a late update alone is no sum': rounds.late != "reject",
            "needs rounds.max_share = 1.0: nobody sees a site's part": rounds.max_share < 1,
            'needs rounds.robust = "none": nobody sees single updates': rounds.robust != "none",
            f'needs codec.up = "exact" or one of {", ".join(LEVELS)}, in its schedule, too: what is sparse does not add'
            " up under masks": not self.codec.ups <= {"exact", *LEVELS},
        }
        for problem, there in problems.items():
            if there:
                raise ValueError(f'privacy.level = "{self.privacy.level}" {problem}; or set {self.opening}')

    def _check_groups(self) -> None:
        """Of sites whose sums are opened apart."""
        groups, sites, level = self.privacy.groups or 0, self.rounds.sites, self.privacy.level
        if groups and level != "secure":
            raise ValueError(
                f'privacy.groups is for privacy.level = "secure", not "{level}": at "open" take rounds.robust; at'
                ' "private" each group\'s sum would need all the noise'
            )
        if sites < limits.LEAST_SUMMED * groups:
            raise ValueError(
                f"privacy.groups ({groups}) of {limits.LEAST_SUMMED} sites each need more than rounds.sites ({sites})"
            )
        if groups and self.rounds.min_sites < LEAST_IN_GROUPS:
            raise ValueError(
                f"privacy.groups needs rounds.min_sites of {LEAST_IN_GROUPS} or more: three groups of three sites"
            )

    def _check_blocks(self) -> None:
        """Of sums in which enough sites must be behind each part."""
        least, level, min_sites = (
            self.privacy.least_sites_per_block or 0,
            self.privacy.level,
            self.rounds.min_sites,
        )
        if least and level != "secure":
            raise ValueError(
                f'privacy.least_sites_per_block is for privacy.level = "secure", not "{level}": at "open" each site\'s'
                ' part is seen; at "private" noise covers what one site alone has'
            )
        if least and self.privacy.groups:
            raise ValueError(
                "privacy.least_sites_per_block does not go with privacy.groups: of three sites few have what is rare"
            )
        if least > min_sites:
            raise ValueError(
                f"privacy.least_sites_per_block ({least}) exceeds rounds.min_sites ({min_sites}): what all sites have"
                " would be in no sum"
            )

    def _check_answers(self) -> None:
        """Of sums that leave out what few patients of all sites have."""
        if 0 < (self.privacy.least_answers or 0) < limits.LEAST_MERGED:
            raise ValueError(
                f"privacy.least_answers ({self.privacy.least_answers}) would leave out nothing, or what one patient"
                f" has; set it to {limits.LEAST_PATIENTS}, as drafted, {limits.LEAST_MERGED} at least, or to 0"
            )
        if self.privacy.least_answers and self.privacy.level != "secure":
            raise ValueError(
                f'privacy.least_answers is for privacy.level = "secure", not "{self.privacy.level}": at "open" each'
                ' site leaves out what few of its own patients have; at "private" noise covers who has which answer'
            )

    def _check_private(self) -> None:
        """What has no part in sums with noise."""
        model = self.model
        problems = {
            'needs model.fin = "gaussian": others are trained': model.fin != "gaussian",
            'needs codec.up = "exact": noise is drawn in numbers of its own': self.codec.quantized,
            'needs privacy.patients, how many train in all, or model.answer = "experts", which trains nothing': (
                self.trains and not self.privacy.patients
            ),
            "needs model.basis_total = 0: random features are dimensions, and noise is in each": (
                model.basis_total > sum(self.dims.values())
            ),
            "needs rounds.rollback unset: no losses on validation cases are told": bool(self.rounds.rollback),
        }
        problems |= {
            f"needs modalities.deviation of {m.name!r}, from public cases": not m.deviation
            for m in self.modalities
        }
        for problem, there in problems.items():
            if there:
                raise ValueError(f'privacy.level = "private" {problem}; or set it to "secure"')

    @property
    def opening(self) -> str:
        """The keys to set for a plan like this without secure sums, in words."""
        keys = ['privacy.level = "open"']
        if self.codec.quantized:
            in_schedule = " (in its schedule, too)" if self.codec.schedule else ""
            keys.append(f'codec.up = "exact"{in_schedule}')
        if self.privacy.groups:
            keys.append("no privacy.groups")
        if self.privacy.least_sites_per_block:
            keys.append("no privacy.least_sites_per_block")
        if self.privacy.least_answers:
            keys.append("no privacy.least_answers")
        return " and ".join(keys)

    @property
    def trains(self) -> bool:
        """Whether there are rounds of training: with noise not where the head is not asked."""
        return not (self.privacy.noised and self.model.answer == "experts")

    @property
    def dims(self) -> dict[str, int]:
        """Feature dimension by modality, in the plan's order."""
        return {modality.name: modality.dim for modality in self.modalities}

    def digest(self) -> str:
        """SHA-256 of the canonical msgpack form, in hex."""
        return hashlib.sha256(msgspec.msgpack.encode(self, order="deterministic")).hexdigest()
