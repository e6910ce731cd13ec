"""How many dimensions a federation of so many patients can sum without telling who is in it.

Of D dimensions and n patients, whoever sees the sum of the second moments tells patients in it from others by how far
out each seems to be: in deviations the two differ by D^(3/2) / (sqrt(2) n). At D = (n / 2)^(2/3) that is an AUC of .60
(docs/dimensions.md). The tightest sum is that of the complete cases: it has all modalities at once.
Random features are dimensions, too, and no better ones where encoders give many features: none are drafted.
"""

LEAST, MOST = 8, 256
PATIENTS_A_UNIT = 2  # of D^(3/2)
SHARE_COMPLETE = 5  # every fifth patient, where nothing else is said: pairs at two sites of ten


def together(complete: int) -> int:
    """How many dimensions the patients who have every modality allow all modalities together."""
    return int((complete / PATIENTS_A_UNIT) ** (2 / 3))


def columns_for(complete: int, modalities: int) -> int:
    """Dimensions of each of the modalities; 8 at least and 256 at most, whatever the patients allow."""
    return min(max(together(complete) // modalities, LEAST), MOST)


def complete_of(patients: int, modalities: int) -> int:
    """How many of the patients are taken to have all modalities."""
    return patients if modalities == 1 else patients // SHARE_COMPLETE
