"""Compressed features of training images with their captions, in which the nearest images of others are found.

No TensorFlow. Letters: C backbone channels, E dimensions of the compressed features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

DIMENSIONS = 128
"""E, unless there are fewer channels or images."""

NEIGHBORS = 40
"""Nearest training images whose captions are compared with."""

TEMPERATURE = 0.1
"""Of the weights of neighbors: one whose cosine similarity is lower by this much weighs less by a factor of e."""

SAME_IMAGE = 0.995
"""Cosine similarity of compressed features from which two images count as the same."""


@dataclass(frozen=True)
class IndexSizes:
    """The numbers that determine the size of every array of a `RetrievalIndex`.

    Attributes:
        images: R, the number of images.
        captions: M, of all images.
        tokens: N, of all captions.
        dimensions: E.
    """

    images: int
    captions: int
    tokens: int
    dimensions: int

    def arrays(self, channels: int, vocabulary_size: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and data type of every array in a file, by name."""
        token = "<u2" if vocabulary_size <= 1 << 16 else "<u4"
        arrays = {
            "mean": ((channels,), "<f4"),
            "projection": ((channels, self.dimensions), "<f2"),
            "vectors": ((self.images, self.dimensions), "|i1"),
            "token_ids": ((self.tokens,), token),
            "caption_lengths": ((self.captions,), "<u2"),
            "image_captions": ((self.images,), "<u4"),
        }
        return {name: (shape, np.dtype(kind)) for name, (shape, kind) in arrays.items()}


@dataclass(frozen=True, repr=False, eq=False)
class RetrievalIndex:
    """Training images, as compressed features, with their captions.

    Attributes:
        mean: float32 (C,), the mean feature vector of the images.
        projection: float32 (C, E), the main directions in which feature vectors differ from the mean, scaled.
        vectors: int8 (R, E), the compressed features: proportional to the projected differences from the mean.
        token_ids: int32 (N,), all captions, one after the other, each without its start token.
        caption_lengths: tokens of each caption, (M,).
        image_captions: captions of each image, (R,).
    """

    mean: np.ndarray
    projection: np.ndarray
    vectors: np.ndarray
    token_ids: np.ndarray
    caption_lengths: np.ndarray
    image_captions: np.ndarray

    def __repr__(self) -> str:
        sizes = self.sizes
        return f"RetrievalIndex({sizes.images:,} images, {sizes.captions:,} captions)"

    @property
    def sizes(self) -> IndexSizes:
        """The sizes of the arrays."""
        counts = len(self.vectors), len(self.caption_lengths), len(self.token_ids)
        return IndexSizes(*counts, self.vectors.shape[1])

    def arrays(self) -> dict[str, np.ndarray]:
        """The attributes by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @cached_property
    def captions(self) -> list[list[list[int]]]:
        """The captions of each image, as token_ids without the start token."""
        captions = [part.tolist() for part in np.split(self.token_ids, np.cumsum(self.caption_lengths)[:-1])]
        ends = np.cumsum(self.image_captions).tolist()
        return [captions[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    @cached_property
    def _directions(self) -> np.ndarray:
        """The compressed features with length 1, float32 (R, E)."""
        return _normalize(self.vectors.astype(np.float32))

    def nearest(self, features: np.ndarray, count: int = NEIGHBORS) -> list[list[tuple[int, float]]]:
        """The nearest training images.

        An image that is itself in the index, or nearly the same as one in it, does not find itself: training images
        with a similarity of at least `SAME_IMAGE` are passed over.

        Args:
            features: float (B, h, w, C).
            count: neighbors of each image; fewer if the index has fewer.

        Returns:
            For each image, the rows of its neighbors in the index with their cosine similarity, the nearest first.
        """
        pooled = np.asarray(features, np.float32).mean(axis=(1, 2))
        queries = _quantize((pooled - self.mean) @ self.projection)
        similarity = _normalize(queries.astype(np.float32)) @ self._directions.T  # (B, R)
        found = []
        for row in similarity:
            order = np.argsort(-row, kind="stable")
            chosen = order[row[order] < SAME_IMAGE][:count]
            found.append(list(zip(chosen.tolist(), row[chosen].tolist(), strict=True)))
        return found

    def save(self, path: str | Path, vocabulary_size: int) -> None:
        """Writes an HDF5 file; `vocabulary_size` determines the data type of tokens."""
        with h5py.File(path, "w") as file:
            for name, (_, kind) in self.sizes.arrays(len(self.mean), vocabulary_size).items():
                file.create_dataset(name, data=getattr(self, name).astype(kind))

    @classmethod
    def load(cls, path: str | Path) -> RetrievalIndex:
        """Reads a file that `bundle_files.check_files` has validated."""
        with h5py.File(path, "r") as file:
            arrays = {item.name: file[item.name][()] for item in fields(cls)}
        return cls(**{name: _in_memory(values) for name, values in arrays.items()})


def _in_memory(values: np.ndarray) -> np.ndarray:
    """An array of a file with the data type that it has in memory."""
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    return values if values.dtype == np.int8 else values.astype(np.int32)


def build_index(pooled: np.ndarray, captions: Sequence[Sequence[Sequence[int]]]) -> RetrievalIndex:
    """Builds an index of images.

    The features are compressed by principal component analysis, which keeps what differs most between the images, and
    divided by the fourth root of their variances, halfway to equal variances (experiments/retrieval.py).

    Args:
        pooled: float (R, C), the mean of each image's features over its grid.
        captions: of each image, as token_ids without the start token.

    Example:
        >>> index = build_index(features.mean(axis=(1, 2)), [[[4, 5, 3]], [[4, 6, 3], [7, 3]]])
        >>> index.sizes
        IndexSizes(images=2, captions=3, tokens=8, dimensions=2)
    """
    pooled = np.asarray(pooled, np.float32)
    mean = pooled.mean(axis=0)
    centered = pooled - mean
    variances, directions = np.linalg.eigh(centered.T @ centered / len(pooled))
    kept = slice(-1, -1 - min(DIMENSIONS, *pooled.shape), -1)
    variances = np.maximum(variances[kept], 1e-6 * max(variances[-1], 1e-6))
    projection = (directions[:, kept] * variances**-0.25).astype(np.float16).astype(np.float32)
    lists = [caption for own in captions for caption in own]
    return RetrievalIndex(
        mean,
        projection,
        _quantize(centered @ projection),
        np.array([token for caption in lists for token in caption], np.int32),
        np.array([len(caption) for caption in lists], np.int32),
        np.array([len(own) for own in captions], np.int32),
    )


def _normalize(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, E) of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _quantize(vectors: np.ndarray) -> np.ndarray:
    """The directions of vectors (n, E) in 8 bits; the largest number of each becomes 127."""
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    return np.round(vectors * (127 / largest)).astype(np.int8)
