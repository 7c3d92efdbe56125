"""Where the words of packed captions should attend: the boxes that they name, on the grid of every augmentation.

Letters: S = h*w cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caption_tx.data.batches.packing import AttentionTargets, PackedCaptions
from caption_tx.data.boxes.coverage import box_coverage, boxes_in_window
from caption_tx.data.boxes.table import Box
from caption_tx.data.boxes.words import BoxWords
from caption_tx.data.images.augmentation import Window


@dataclass(frozen=True)
class BoxGrid:
    """How boxes become targets.

    Attributes:
        boxes: name of an image -> its boxes.
        words: which words name which boxes.
        grid: (h, w) of the features.
        windows: name of an image -> what each augmentation shows of it.
    """

    boxes: Mapping[str, Sequence[Box]]
    words: BoxWords
    grid: tuple[int, int]
    windows: Callable[[str], Sequence[Window]]


def add_targets(packed: PackedCaptions, vocabulary: Sequence[str], boxes: BoxGrid) -> tuple[PackedCaptions, int]:
    """The captions with the targets of their words, and the number of words that have one.

    Args:
        packed: the captions of images; those without boxes have no targets.
        vocabulary: the word of each token id.
    """
    tokens = packed.tokens
    indices = np.zeros(len(tokens.values), np.int32)
    rows: list[np.ndarray] = []
    augmentations = 1
    for image, name in enumerate(packed.images):
        items = boxes.boxes.get(name)
        if not items:
            continue
        captions = packed.caption_splits[image], packed.caption_splits[image + 1]
        span = slice(*(int(tokens.row_splits[caption]) for caption in captions))
        ids, inverse = np.unique(tokens.values[span], return_inverse=True)
        found = boxes.words.find([vocabulary[token] for token in ids], items)
        if not found:
            continue
        windows = boxes.windows(name)
        augmentations = len(windows)
        row_of: dict[tuple[int, ...], int] = {}
        own = np.zeros(len(ids), np.int32)
        for position, named in found.items():
            if named not in row_of:
                rows.append(_coverage([items[index].corners for index in named], windows, boxes.grid))
                row_of[named] = len(rows)
            own[position] = row_of[named]
        indices[span] = own[inverse]
    cells = boxes.grid[0] * boxes.grid[1]
    coverage = np.stack([np.zeros((augmentations, cells), np.uint8), *rows])
    return replace(packed, targets=AttentionTargets(indices, coverage)), int((indices > 0).sum())


def _coverage(corners: Sequence, windows: Sequence[Window], grid: tuple[int, int]) -> np.ndarray:
    """uint8 (augmentations, S): the share of each cell of each augmentation that the boxes cover, times 255."""
    shares = []
    for window in windows:
        visible = boxes_in_window(corners, window)
        shares.append(box_coverage(visible, grid).reshape(-1) if visible else np.zeros(grid[0] * grid[1]))
    return np.round(np.stack(shares) * 255).astype(np.uint8)
