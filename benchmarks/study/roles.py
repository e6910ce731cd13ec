"""Which methods the report compares with which, by name. A method that has no row is shown as missing."""

DEFAULT = "fedfin"
ZERO_FILL = "zero-fill"
PLAIN_FIN = ("plain-fin", "paper-fin")  # imputed features in the columns of real ones
# The default may never be clearly worse than these: what it is called in words -> the methods that are it.
HARMLESS_TO: dict[str, tuple[str, ...]] = {
    "zero-fill": (ZERO_FILL,),
    "plain FIN": PLAIN_FIN,
    "single-modality federation": ("only-common", "only-rare"),
}
# They see what no federation can: data of all sites in one place, and for the first what was recorded but sites lack.
BOUNDS = ("centralised", "centralised-as-held")
# Rivals that see the public cases -> the default that sees them, too, with which they are compared.
WITH_PUBLIC = {"retrieval": "fedfin-public"}
# They read no recipe: their penalties are chosen in training, on inner folds, so that they are at their best anyway.
# A drafted plan has the recipe that it is drafted with.
SELF_TUNED = (
    "late-logits",
    "late-ranks",
    "pattern-ridge",
    "indicator-logistic",
    "knn-fill",
    "fedfin-drafted",
)
TOLERANCE = 0.3  # of AUC x 100 that the default may be below
# Twice the standard error of paired differences is taken for noise: with few seeds a rule that finds too much harm
# rather than too little (Student's factor for three seeds would be 4.3).
NOISE = 2.0


def harmless_to() -> tuple[str, ...]:
    """All of them."""
    return tuple(name for names in HARMLESS_TO.values() for name in names)
