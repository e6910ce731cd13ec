"""Whether a site that says hello can follow the plan."""

from msgspec import UNSET

from fedfin.plan import Plan
from fedfin.protocol.messages.joining import Hello
from fedfin.protocol.versions import OURS, following, mismatch, party_of


def objection(plan: Plan, hello: Hello) -> str | None:
    """Why it cannot, and what to do about it; None if it can."""
    # A site's every other hello announces no version: nothing but what all plans ask for is held against it.
    ours = OURS if hello.party is UNSET else following(plan)
    if (reason := mismatch(party_of(hello.party), ours)) is not None:
        return reason
    encoders = {modality.name: modality.encoder for modality in plan.modalities}
    for modality, digest in sorted(hello.encoders.items()):
        if encoders.get(modality, digest) != digest:
            return (
                f"the plan's {modality} encoder is {encoders[modality][:12]}, yours is {digest[:12]};"
                " install the plan's bundle and encode again"
            )
    if not set(hello.encoders) & set(encoders):
        return f"the plan's modalities are {', '.join(sorted(encoders))}; you have none of them"
    return None
