"""Where the words of packed rows should attend."""

import numpy as np
import pytest

from caption_tx.data.batches.batching import packed_batches
from caption_tx.data.batches.box_targets import BoxGrid, add_targets
from caption_tx.data.batches.rows import RowOptions, cached_rows
from caption_tx.data.boxes.table import Box
from caption_tx.data.boxes.words import BoxWords
from caption_tx.data.images.augmentation import augmentation_window

VOCABULARY = ["", "[UNK]", "[START]", "[END]", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11"]
GRID = (2, 4)
LEFT = (0.0, 0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def targeted(packed):
    """Boxes of the words w5 (the left half) and w11 (both halves) in every second image."""
    boxes = [Box(("w5", "w11"), LEFT), Box(("w11",), (0.5, 0.0, 1.0, 1.0))]
    matched = {name: boxes for name in packed.images[::2]}
    grid = BoxGrid(matched, BoxWords(), GRID, lambda _: [augmentation_window(index, "") for index in range(2)])
    return add_targets(packed, VOCABULARY, grid)


def test_targets_belong_to_the_words_that_name_boxes(packed, targeted):
    result, count = targeted
    targets = result.targets
    assert count == (targets.indices > 0).sum() > 20
    has_boxes = np.repeat(
        np.arange(len(packed.images)) % 2 == 0, np.diff(packed.tokens.row_splits[packed.caption_splits])
    )
    expected = has_boxes & np.isin(packed.tokens.values, [5, 11])
    np.testing.assert_array_equal(targets.indices > 0, expected)
    assert not targets.coverage[0].any()
    half = np.array([[255, 255, 0, 0]] * 2).reshape(-1)
    for token, mask in ((5, [half, 255 - half]), (11, [np.full(8, 255)] * 2)):
        for index in set(targets.indices[expected & (packed.tokens.values == token)]):
            np.testing.assert_array_equal(targets.coverage[index], mask)


def test_batches_have_the_targets_of_labels_under_the_drawn_augmentation(cache, targeted):
    result, _ = targeted
    drawn = set()
    for seed in range(3):
        rows = cached_rows(cache, result, RowOptions(seed, augmentations=2))
        plain = cache.load(result.images)
        for inputs, labels, _ in packed_batches(rows, result, 8, (), seed).as_numpy_iterator():
            coverage = inputs["coverage"]
            assert coverage.shape == (*labels.shape, 8)
            for row, own in enumerate(coverage):
                name = next((i for i, item in enumerate(plain) if np.array_equal(item, inputs["features"][row])), None)
                left = own[labels[row] == 5]
                assert not own[~np.isin(labels[row], [5, 11])].any()
                if len(left) and left.any():
                    drawn.add(name is None)
                    assert (left[:, :2] > 0).all() == (name is not None), "a mirrored image has its boxes on the right"
    assert drawn == {True, False}
