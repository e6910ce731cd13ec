"""Synthetic chest radiograph reports: indication and findings in several phrasings, imperfect as real ones.

A reader may miss what is subtle, hedge, name a look-alike instead, or raise what is not there; normal and
irrelevant remarks stand in between. So the text says something that the image may not, and the reverse.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fedfin.demo.phantom import Finding

# finding -> (plain statements, hedged statements, negations); {size} and {side} are filled in
PHRASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "cardiomegaly": (
        (
            "The heart is enlarged.",
            "{size} cardiomegaly.",
            "{size} enlargement of the cardiac silhouette.",
            "Increased cardiothoracic ratio.",
        ),
        (
            "Heart size at the upper limit of normal.",
            "Heart appears prominent, possibly projectional.",
            "Cardiac size is accentuated by technique.",
        ),
        ("Heart size is normal.", "Cardiac silhouette within normal limits.", "No cardiomegaly."),
    ),
    "effusion": (
        (
            "{size} {side} pleural effusion.",
            "There is blunting of the {side} costophrenic angle consistent with {size} effusion.",
            "Layering {side} pleural fluid.",
        ),
        (
            "A {size} {side} effusion cannot be excluded.",
            "Slight blunting of the {side} costophrenic angle, fluid or pleural thickening.",
            "Haziness at the {side} base.",
        ),
        ("No pleural effusion.", "Costophrenic angles are sharp.", "No pleural fluid is seen."),
    ),
    "pneumothorax": (
        (
            "{size} {side} pneumothorax.",
            "A pleural line is visible at the {side} apex, in keeping with {size} pneumothorax.",
            "{side} apical pneumothorax without shift.",
        ),
        (
            "Lucency at the {side} apex, skin fold versus pneumothorax.",
            "Possible {size} {side} apical pneumothorax; repeat film in expiration.",
        ),
        ("No pneumothorax.", "No evidence of pneumothorax.", "No apical pleural line."),
    ),
    "consolidation": (
        (
            "{side} airspace consolidation with air bronchograms.",
            "Patchy opacity in the {side} lung, consistent with pneumonia.",
            "{size} {side} lower zone consolidation.",
        ),
        (
            "Ill-defined opacity on the {side}, atelectasis versus infection.",
            "Haziness at the {side} base.",
            "Questionable {side} infiltrate.",
        ),
        ("No focal consolidation.", "Lungs are clear.", "No airspace opacity."),
    ),
    "nodule": (
        (
            "{size} {side} pulmonary nodule.",
            "Rounded {side} lung mass, CT is advised.",
            "Well-defined nodular opacity on the {side}.",
        ),
        (
            "Nodular density on the {side}, possibly a nipple shadow.",
            "Vague {side} density overlying a rib; follow-up suggested.",
        ),
        ("No suspicious nodule.", "No lung mass.", "No nodular opacity."),
    ),
    "edema": (
        (
            "{size} pulmonary edema.",
            "Perihilar haze and Kerley lines, in keeping with interstitial edema.",
            "Vascular congestion with bilateral edema.",
        ),
        (
            "Prominent vascular markings, early congestion possible.",
            "Increased interstitial markings, edema or chronic change.",
        ),
        ("No pulmonary edema.", "Pulmonary vascularity is normal.", "No vascular congestion."),
    ),
    "atelectasis": (
        (
            "{side} basal atelectasis.",
            "Linear opacities at the {side} base, {size} atelectasis.",
            "Low volumes with {side} plate-like collapse.",
        ),
        (
            "Ill-defined opacity on the {side}, atelectasis versus infection.",
            "Haziness at the {side} base.",
            "Streaky {side} basal density.",
        ),
        ("No atelectasis.", "Lungs are well expanded.", "No volume loss."),
    ),
}
LOOKALIKE = {
    "effusion": "atelectasis",
    "atelectasis": "consolidation",
    "consolidation": "atelectasis",
    "edema": "consolidation",
}
SIZES = ("minimal", "small", "moderate", "large")
SIDES = {(-1,): "right", (1,): "left", (-1, 1): "bilateral"}
NEUTRAL = (
    "Degenerative changes of the thoracic spine.",
    "Trachea is midline.",
    "Old healed rib fracture.",
    "Calcified aortic knob.",
    "Central line tip in the superior vena cava.",
    "Patient is slightly rotated.",
    "Surgical clips in the right upper abdomen.",
    "Bony structures are intact.",
    "Comparison with the previous film is limited.",
    "Single portable view.",
    "Mild scoliosis.",
    "Nasogastric tube below the diaphragm.",
)


def write_report(findings: Mapping[str, Finding], reason: str, age: int, rng: np.random.Generator) -> str:
    """One report for a case with `findings`; `reason` is why the film was asked for."""
    who = rng.choice(("man", "woman", "patient"))
    sentences = [sentence for name in PHRASES if (sentence := _sentence(name, findings.get(name), rng))]
    sentences += rng.choice(NEUTRAL, size=rng.integers(0, 4), replace=False).tolist()
    order = rng.permutation(len(sentences))
    body = " ".join(sentences[at] for at in order) or "No acute abnormality."
    return f"Indication: {age} year old {who}, {reason}. Findings: {body}"


def _sentence(name: str, finding: Finding | None, rng: np.random.Generator) -> str:
    """What the reader says about one finding; empty: nothing."""
    plain, hedged, negated = PHRASES[name]
    if finding is None:
        # Most that is absent is passed over, some is denied, and a little is suspected or seen wrongly.
        kind = rng.choice(4, p=(0.64, 0.30, 0.045, 0.015))
        options: Sequence[str] = ((), negated, hedged, plain)[kind]
        return _fill(options, Finding(rng.uniform(0, 0.4), _any_side(rng)), rng) if options else ""
    seen = 0.55 + 0.40 * finding.severity
    kind = rng.choice(4, p=(seen, 0.25 * (1 - seen), 0.65 * (1 - seen), 0.10 * (1 - seen)))
    if kind == 0 and name in LOOKALIKE and rng.random() < 0.12:  # noqa: PLR2004 - one in eight
        plain = PHRASES[LOOKALIKE[name]][0]
    options = (plain, hedged, (), negated)[kind]
    return _fill(options, finding, rng) if options else ""


def _any_side(rng: np.random.Generator) -> tuple[int, ...]:
    return ((-1,), (1,))[rng.integers(2)]


def _fill(options: Sequence[str], finding: Finding, rng: np.random.Generator) -> str:
    """One phrasing, with size and side in words; the size is a reader's guess."""
    guess = np.clip(finding.severity + rng.normal(0, 0.15), 0, 0.99)
    text = str(
        options[int(rng.integers(len(options)))].format(
            size=SIZES[int(guess * len(SIZES))], side=SIDES[tuple(sorted(finding.sides))]
        )
    )
    return text[0].upper() + text[1:]
