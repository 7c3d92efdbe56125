"""The maps that experiments measure beside the poolings can be made of what a teacher-forced pass reads."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.teacher_forcing import TeacherForced

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture
def passed():
    """Two layers of two heads, three tokens, and a grid of 2x3 cells."""
    random = np.random.default_rng(0)
    own = np.tril(random.random((2, 2, 3, 3)))
    return TeacherForced(
        random.dirichlet(np.ones(6), (2, 2, 3)).reshape(2, 2, 3, 2, 3),
        np.zeros(3),
        own / own.sum(axis=-1, keepdims=True),
        -random.exponential(3, (3, 2, 3)),
    )


def test_maps_sum_to_one(passed, monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    sharpened = importlib.import_module("box_supervision").SHARPENED
    for selection in (*sharpened, *importlib.import_module("posterior").VARIANTS.values()):
        np.testing.assert_allclose(passed.pooled(selection).sum(axis=(1, 2)), 1)


def test_the_variants_include_sharp_and_the_posterior(passed, monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    variants = importlib.import_module("posterior").VARIANTS
    for variant, pool in (("1, 0", "mean"), ("2, 0", "sharp"), ("2, 0.5", "posterior")):
        np.testing.assert_allclose(passed.pooled(variants[variant]), passed.pooled(MapSelection(pool=pool)), rtol=1e-6)
