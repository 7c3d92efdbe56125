"""CIDEr-D of single captions against the captions of a training image, as a reward. No TensorFlow.

Vedantam et al. 2015, "CIDEr: Consensus-based Image Description Evaluation", eq. 1 to 3 with the clipped counts and the
length penalty of their section 5, in [0, 10]; idf from the training captions. The end mark counts as a word: else
captions that break off in the middle would lose nothing by it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from caption_tx.inference.search.consensus import LENGTH_SPREAD, LONGEST

Gram = tuple[int, ...]


def count_grams(caption: Sequence[int]) -> list[Counter[Gram]]:
    """How often each run of n words stands in the caption, for n = 1 to 4."""
    words = tuple(caption)
    return [Counter(words[i : i + n] for i in range(len(words) - n + 1)) for n in range(1, LONGEST + 1)]


class CiderReward:
    """Rates captions of the images that it was made with.

    Args:
        references: for each image its captions, each a sequence of word numbers with the end mark.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]]) -> None:
        counted = [[count_grams(caption) for caption in captions] for captions in references]
        images: Counter[Gram] = Counter()
        for captions in counted:
            images.update({gram for grams in captions for each in grams for gram in each})
        log_images = math.log(len(references))
        # A run that no training caption holds counts as one of a single image.
        self._unseen = log_images
        self._idf = {gram: log_images - math.log(count) for gram, count in images.items()}
        self._references = [[self._weigh(grams) for grams in captions] for captions in counted]

    def _weigh(self, grams: list[Counter[Gram]]) -> tuple[list[dict[Gram, float]], list[float], int]:
        """The tf-idf vectors of n = 1 to 4, their lengths, and the number of words."""
        vectors = [{gram: n * self._idf.get(gram, self._unseen) for gram, n in each.items()} for each in grams]
        norms = [math.sqrt(sum(value * value for value in vector.values())) for vector in vectors]
        return vectors, norms, sum(grams[0].values())

    def __call__(self, image: int, caption: Sequence[int]) -> float:
        """CIDEr-D in [0, 10] of a caption (word numbers with the end mark, if it has one) of the image."""
        vectors, norms, length = self._weigh(count_grams(caption))
        total = 0.0
        for others, other_norms, other_length in self._references[image]:
            near = math.exp(-((length - other_length) ** 2) / (2 * LENGTH_SPREAD**2))
            for own, norm, other, other_norm in zip(vectors, norms, others, other_norms, strict=True):
                if norm and other_norm:
                    shared = sum(min(value, other[gram]) * other[gram] for gram, value in own.items() if gram in other)
                    total += near * shared / (norm * other_norm)
        return 10 * total / LONGEST / len(self._references[image])
