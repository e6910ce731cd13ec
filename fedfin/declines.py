"""Why a site takes no part, as it tells the aggregator: one word, and no number."""

from typing import Literal

Cause = Literal["policy", "patients", "answered", "cases", "budget", "moments", "rewound"]
CAUSES: dict[Cause, str] = {
    "policy": "its people do not allow this plan, or not yet",
    "patients": "it has cases of too few patients",
    "answered": "it has answered this plan before",
    "cases": "its cases differ by too few patients from those of which it has answered before",
    "moments": "its features are unlike the pooled ones",
    "rewound": "it has answered this round before the aggregator was set back; see docs/operation.md",
    "budget": "its privacy budget does not allow it",
}
