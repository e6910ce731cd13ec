"""Federations with keys, over a real mosquitto."""

from pathlib import Path

import pytest
from federation import Federation, broker

from fedfin.model.model_file import read_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of one federation."""
    return tmp_path


def test_a_federation_with_keys_comes_to_the_model_of_one_without(folder: Path) -> None:
    """Signing and sealing change what travels, and nothing of what is learnt."""
    with broker("mosquitto", folder) as url:
        models = []
        for keys in (False, True):
            place = folder / f"keys-{keys}"
            place.mkdir()
            federation = Federation(place, url, keys=keys)
            federation.run()
            models.append(read_model(place / "agg" / "final.fedfin").tensors)
    assert models[0].keys() == models[1].keys()
    for name, array in models[0].items():
        assert (array == models[1][name]).all(), name
