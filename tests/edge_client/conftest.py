"""Fixtures of the edge client's tests; what they are made of is in edge_sites.py."""

import json

import pytest
from edge_sites import SiteMaker, edge, make_image_bundle, make_text_bundle, make_vector_bundle

from fedfin.encoders.bundle import read_manifest
from fedfin.plan import Plan
from fedfin.plan_sections import Modality


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Bundles by modality."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "image": make_image_bundle(folder / "image"),
        "text": make_text_bundle(folder / "text"),
        "labs": make_vector_bundle(folder / "labs"),
    }


@pytest.fixture
def maker(tmp_path, bundles):
    """Makes one site in this test's folder."""
    return SiteMaker(tmp_path, bundles)


@pytest.fixture
def make_plan(bundles):
    """Plans over the tiny encoders."""

    def make(*modalities, seed=0):
        manifests = [read_manifest(bundles[name]) for name in modalities or ("image", "text")]
        chosen = tuple(Modality(name=m.modality, encoder=m.digest(), dim=m.dim) for m in manifests)
        return Plan(federation="chest", labels=("effusion", "mass"), modalities=chosen, seed=seed)

    return make


@pytest.fixture
def encode(capsys):
    """Run `edge encode --json`; its parsed output."""

    def run(site, *options):
        capsys.readouterr()
        assert edge("encode", site.folder, "--json", *options) == 0
        return json.loads(capsys.readouterr().out)

    return run
