"""The loss on attention outside boxes."""

import numpy as np
import pytest

from caption_tx.config import BoxesConfig
from caption_tx.training.box_loss import BoxLoss, BoxMass

B, L, N, T, S = 2, 3, 2, 5, 7


@pytest.fixture
def scores():
    values = np.random.default_rng(0).random((B, L, N, T, S)).astype(np.float32)
    return values / values.sum(-1, keepdims=True)


@pytest.fixture
def coverage():
    """Boxes for two of ten words."""
    values = np.zeros((B, T, S), np.uint8)
    values[0, 1, 2:4] = 255
    values[1, 4, 0] = 51  # a fifth of a cell
    return values


def expected(scores, weights, layers=slice(None), heads=slice(None)):
    maps = scores[:, layers][:, :, heads].mean((1, 2))
    first, second = maps[0, 1, 2:4].sum(), maps[1, 4, 0] / 5
    return -weights[0, 1] * np.log(first) - weights[1, 4] * np.log(second)


@pytest.mark.parametrize(
    ("options", "part"),
    [({}, {}), ({"layers": (1,)}, {"layers": slice(1, 2)}), ({"heads": 1}, {"heads": slice(0, 1)})],
)
def test_the_loss_is_the_negative_log_of_the_mass_inside(scores, coverage, options, part):
    weights = np.random.default_rng(1).random((B, T)).astype(np.float32)
    loss, inside, count = BoxLoss(0.5, **options)(scores, coverage, weights)
    assert float(loss) == pytest.approx(0.5 * expected(scores, weights, **part), rel=1e-5)
    assert float(count) == pytest.approx(weights[0, 1] + weights[1, 4], rel=1e-6)
    metric = BoxMass()
    metric.add(inside, count)
    maps = scores.mean((1, 2))
    shown = weights[0, 1] * maps[0, 1, 2:4].sum() + weights[1, 4] * maps[1, 4, 0] / 5
    assert float(metric.result()) == pytest.approx(shown / float(count), rel=1e-5)


def test_each_head_has_its_own_loss(scores, coverage):
    weights = np.ones((B, T), np.float32)
    loss, *_ = BoxLoss(1.0, each_head=True)(scores, coverage, weights)
    single = [expected(scores, weights, slice(i, i + 1), slice(j, j + 1)) for i in range(L) for j in range(N)]
    assert float(loss) == pytest.approx(np.mean(single), rel=1e-5)


def test_labels_without_boxes_or_weight_do_not_count(scores, coverage):
    weights = np.ones((B, T), np.float32)
    weights[0, 1] = weights[1, 4] = 0
    assert [float(value) for value in BoxLoss(1.0)(scores, coverage, weights)] == [0, 0, 0]
    assert BoxLoss.from_config(BoxesConfig()) is None
