"""Invented cases and rows for the study's tests."""

import numpy as np

from benchmarks.data.cases import Cases
from benchmarks.study.deal import Recipe, deal
from benchmarks.study.settings import Setting
from benchmarks.study.sources import Pool
from fedfin.plan_sections import Model, Training

NAMES = {2: ("image", "text"), 3: ("ct", "image", "text")}


def pool(count=600, modalities=2, *, present=1.0, sites="any"):
    """Groups of three cases; the first feature of the first modality is the case's number."""
    draws = np.random.default_rng(0)
    features = {m: draws.normal(size=(count, 3)).astype(np.float32) for m in NAMES[modalities]}
    features[NAMES[modalities][0]][:, 0] = np.arange(count)
    there = {m: draws.random(count) < present for m in features}
    labels = np.eye(4, dtype=np.float32)[draws.integers(0, 4, count // 3).repeat(3)]
    cases = Cases(features, there, labels, np.arange(count, dtype=np.int64) // 3 + 7)
    return Pool(cases, (sites,) * count, {})


def dealt(of=None, seed=0, **setting):
    """A federation."""
    return deal(of or pool(), Setting(**setting), seed, Recipe(2, Model(), Training()))


def row(method="fedfin", auc=80.0, *, seed=0, data="d", setting="8:0:2", **views):
    """A row of the study; `views` gives other AUCs by view, with _ for a blank."""
    found = dict.fromkeys(("complete", "only a", "only b", "half missing"), auc)
    found |= {view.replace("_", " "): value for view, value in views.items()}
    figures = {"per_label": [70.0, None], "ece": 2.0}
    shown = {view: {"auc": value, **figures} for view, value in found.items()}
    shown["only a"] |= {"cosine": 0.5, "explained": 0.25, "claimed": 1.5, "covered": 0.8}
    return {
        "key": f"{data}/{setting}/{method}/{seed}",
        "data": data,
        "setting": setting,
        "method": method,
        "seed": seed,
        "rounds": 20,
        "labels": ["x", "y"],
        "modalities": {"a": 4, "b": 4},
        "sites": {"site-01": 50},
        "judge": 30,
        "views": shown,
        "up": 1000,
        "down": 2000,
        "multiply_adds": 5000,
        "cpu_s": 1.5,
    }
