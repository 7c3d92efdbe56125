"""Selections of layers, heads and poolings."""

import numpy as np

from caption_tx.config import POOL_NAMES
from caption_tx.evaluation.attention.selections import all_selections, selection_name


def test_all_selections_cover_poolings_layers_and_heads():
    scores = np.random.default_rng(0).dirichlet(np.ones(6), (2, 3, 4)).reshape(2, 3, 4, 2, 3)
    self_scores = np.tile(np.eye(4), (2, 3, 1, 1))
    cells = np.zeros((4, 2, 3))
    selections = all_selections(2, 3)
    maps = {selection_name(selection): selection.pooled(scores, self_scores, cells) for selection in selections}
    assert set(POOL_NAMES) < set(maps)
    assert len(maps) == len(POOL_NAMES) + 2 * (1 + 3)
    np.testing.assert_array_equal(maps["layer 1 head 2"], scores[1, 2])
    np.testing.assert_allclose(maps["layer 0 mean"], scores[0].mean(axis=0))
