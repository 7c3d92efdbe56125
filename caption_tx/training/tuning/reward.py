"""CIDEr-D of sampled captions against the captions of a training image, as a reward. No TensorFlow.

`inference/search/cider.py` has the formula; values are in [0, 10] and the idf comes from the training captions. The
end token counts as a word, since otherwise captions that break off in the middle would lose nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from caption_tx.inference.search.cider import Ngram, cider_d, count_ngrams, ngram_vectors


class CiderReward:
    """Rates captions of the training images.

    Args:
        references: per image its captions, each a sequence of word ids that ends with the end token.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]]) -> None:
        counts = [[count_ngrams(caption) for caption in captions] for captions in references]
        document_frequency: Counter[Ngram] = Counter()
        for captions in counts:
            document_frequency.update({gram for by_length in captions for grams in by_length for gram in grams})
        log_images = math.log(len(references))
        # An n-gram that no training caption contains counts as one that occurs with a single image.
        self._unseen_idf = log_images
        self._idf = {gram: log_images - math.log(count) for gram, count in document_frequency.items()}
        self._references = [
            [ngram_vectors(by_length, self._idf, self._unseen_idf) for by_length in captions] for captions in counts
        ]

    def __call__(self, image: int, caption: Sequence[int]) -> float:
        """CIDEr-D in [0, 10] of a caption of training image `image`, given as word ids."""
        vectors = ngram_vectors(count_ngrams(caption), self._idf, self._unseen_idf)
        references = self._references[image]
        return 10 * sum(cider_d(vectors, reference) for reference in references) / len(references)
