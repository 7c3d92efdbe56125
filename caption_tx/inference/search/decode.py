"""Features of images -> captions: runs compiled searches in parallel chunks and ranks what they find."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from caption_tx.config import DecodingOptions
from caption_tx.data.features.retrieval_index import RetrievalIndex
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.inference.search.caption import Caption, make_caption
from caption_tx.inference.search.compiled import compile_search
from caption_tx.inference.search.constraints import Constraints, resolve_constraints
from caption_tx.inference.search.randomness import draw_bits
from caption_tx.inference.search.ranking import rank_captions
from caption_tx.inference.search.retrieval import find_neighborhoods, require_index
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec
from caption_tx.model.captioner import Captioner

BATCH_SIZES = (1, 4, 16, 32)
"""Batch sizes that searches are compiled for. A batch is padded to the next size; a larger one is split."""

NUM_THREADS = min(os.cpu_count() or 1, 8)
"""Chunks of a large batch that are searched in parallel, which keeps the cores busy during serial operations."""

FULL_BATCH_SIZE = BATCH_SIZES[-1] * NUM_THREADS
"""Images that keep all threads busy."""


def decode(
    captioner: Captioner,
    features: np.ndarray | tf.Tensor,
    tokenizer: Tokenizer,
    options: DecodingOptions | None = None,
    row_seeds: Sequence[int] | None = None,
    segmenter: Segmenter | None = None,
    index: RetrievalIndex | None = None,
) -> list[list[Caption]]:
    """Search captions for any number of images.

    Greedy and sampled captions do not depend on the batch: an image whose search met a tie up to rounding is searched
    again alone. Beam search can differ between batches if two hypotheses tie up to rounding.

    Args:
        features: float (B, h, w, C), the backbone's activations.
        row_seeds: per image an integer in [0, 2**64), such as a hash of its content. Together with `options.seed` it
            determines the image's samples.
        segmenter: splits `options.prefix` into words; without it the prefix is split at spaces.
        index: the training images that a search with `retrieval` compares with.

    Returns:
        Per image at most `options.n_best` captions, best first: finished captions before truncated ones, then by
        score. There are fewer if samples or beam groups found the same caption, or if a beam search has too few
        hypotheses. A diverse beam search selects the best caption of every group first.

    Raises:
        ConfigError: a word of the options is out of vocabulary, or a length exceeds the model's limit, or the options
            have `retrieval` and there is no index.
        ValueError: the features do not have the shape that the model was built for.

    Example:
        >>> [[caption]] = decode(bundle.captioner, features[:1], bundle.tokenizer, DecodingOptions(beam_width=4))
        >>> caption.text
        '一只狗在草地上奔跑'
    """
    options = options or DecodingOptions()
    expected = tuple(captioner.settings.feature_shape)
    shape = tuple(np.shape(features))
    if len(shape) != 4 or shape[1:] != expected:
        raise ValueError(f"Expected features of shape (B, {', '.join(map(str, expected))}), got {shape}.")
    features = tf.cast(features, tf.float32)  # a tensor, since slicing and copying NumPy arrays takes 5% longer
    row_seeds = [0] * len(features) if row_seeds is None else row_seeds
    if len(row_seeds) != len(features):
        raise ValueError(f"Expected one row seed per image, got {len(row_seeds)} for {len(features)} images.")
    require_index(options, index)
    neighborhoods = find_neighborhoods(index, features) if options.retrieval else None
    search = _Search(captioner, tokenizer, options, segmenter)
    captions: list[list[Caption]] = []
    for row, (spec, *result, near_tie) in enumerate(search.run(features, row_seeds)):
        if near_tie and len(features) > 1:
            # In another batch rounding could break the tie differently. Alone, the result is always the same.
            alone = slice(row, row + 1)
            [(spec, *result, _)] = search.run(features[alone], row_seeds[alone])
        neighborhood = None if neighborhoods is None else neighborhoods[row]
        found = rank_captions(spec, options, tokenizer.end_token_id, tuple(result), neighborhood)
        captions.append([make_caption(item, rank, tokenizer) for rank, item in enumerate(found)])
    return captions


def sample_token_ids(
    captioner: Captioner,
    features: np.ndarray | tf.Tensor,
    tokenizer: Tokenizer,
    temperature: float,
    samples: int,
    row_seeds: Sequence[int],
) -> list[list[list[int]]]:
    """Sample captions independently, so that an image may get the same caption several times.

    Args:
        features: float (B, h, w, C).
        samples: the number of captions per image.
        row_seeds: as for `decode`.

    Returns:
        Per image and sample the token_ids, including the end token of a finished caption.
    """
    options = DecodingOptions(temperature=temperature, samples=samples, n_best=samples)
    search, end_token_id = _Search(captioner, tokenizer, options, None), tokenizer.end_token_id
    sampled = []
    for _, token_ids, _, _, finished, _ in search.run(tf.cast(features, tf.float32), row_seeds):
        rows = [row.tolist() for row in token_ids]
        sampled.append(
            [row[: row.index(end_token_id) + 1] if ended else row for row, ended in zip(rows, finished, strict=True)]
        )
    return sampled


def search_spec(
    captioner: Captioner, tokenizer: Tokenizer, options: DecodingOptions, segmenter: Segmenter | None = None
) -> SearchSpec:
    """What `decode` compiles for these options, once for each of `BATCH_SIZES`.

    Raises:
        ConfigError: a word of the options is out of vocabulary, or a length exceeds the model's limit.

    Example:
        >>> search_spec(bundle.captioner, bundle.tokenizer, DecodingOptions(beam_width=4)).num_hypotheses
        4
    """
    return _Search(captioner, tokenizer, options, segmenter).spec()


@dataclass(frozen=True)
class _CompiledSearch:
    """A search of `batch_size` images; `run` takes their features and the other inputs."""

    spec: SearchSpec
    batch_size: int
    run: Callable[[tf.Tensor, SearchInputs], SearchResult]


_COMPILED: WeakKeyDictionary[Captioner, dict[tuple[SearchSpec, int], _CompiledSearch]] = WeakKeyDictionary()


class _Search:
    """The searches that some options need from a captioner, compiled at first use for each batch size."""

    def __init__(
        self, captioner: Captioner, tokenizer: Tokenizer, options: DecodingOptions, segmenter: Segmenter | None
    ) -> None:
        self.captioner, self.tokenizer, self.options = captioner, tokenizer, options
        self.constraints = resolve_constraints(options, captioner.max_length, tokenizer, segmenter)
        self.compiled = _COMPILED.setdefault(captioner, {})

    def run(self, features: tf.Tensor, row_seeds: Sequence[int]) -> list[tuple]:
        """Search features (B, h, w, C).

        Returns:
            Per image the spec that it was searched with, followed by its row of every field of `SearchResult`.
        """
        step = BATCH_SIZES[-1]
        chunks = [slice(start, min(start + step, len(features))) for start in range(0, len(features), step)]
        spec = self.spec()
        searches = [self._compile(spec, chunk.stop - chunk.start) for chunk in chunks]

        def run(search: _CompiledSearch, chunk: slice) -> list[tuple]:
            return self._run_chunk(search, features[chunk], row_seeds[chunk])

        if len(chunks) == 1 or NUM_THREADS == 1:
            results = map(run, searches, chunks)
        else:
            with ThreadPoolExecutor(NUM_THREADS) as pool:
                results = list(pool.map(run, searches, chunks))
        return [image for chunk in results for image in chunk]

    def _run_chunk(self, search: _CompiledSearch, features: tf.Tensor, row_seeds: Sequence[int]) -> list[tuple]:
        num_images = len(features)
        if num_images < search.batch_size:
            padding = tf.zeros((search.batch_size - num_images, *features.shape[1:]))
            features = tf.concat([features, padding], axis=0)
        result = search.run(features, self._inputs(search, row_seeds))
        return [(search.spec, *image) for image in zip(*(part.numpy()[:num_images] for part in result), strict=True)]

    def _compile(self, spec: SearchSpec, num_images: int) -> _CompiledSearch:
        """The compiled search for a number of images."""
        batch_size = next(size for size in BATCH_SIZES if size >= num_images)
        if (spec, batch_size) not in self.compiled:
            run = compile_search(self.captioner, spec, batch_size)
            self.compiled[spec, batch_size] = _CompiledSearch(spec, batch_size, run)
        return self.compiled[spec, batch_size]

    def spec(self) -> SearchSpec:
        """What is compiled."""
        options, tokenizer, forced = self.options, self.tokenizer, self.constraints.forced
        beam = options.beam_width > 1
        width = options.beam_width // options.beam_groups if beam else options.samples
        return SearchSpec(
            length=self.constraints.length,
            start_token_id=tokenizer.start_token_id,
            end_token_id=tokenizer.end_token_id,
            pad_token_id=tokenizer.pad_token_id,
            width=width,
            tracks=len(forced) + 1 if forced else options.beam_groups,
            beam=beam,
            forced_tokens=tuple(forced),
            n_best=1 if not beam else options.n_best if options.consensus is None else width,
            sampled=options.temperature > 0,
            top_k=options.top_k is not None,
            top_p=options.top_p is not None and options.top_p < 1,
            repetition_penalty=options.repetition_penalty != 1,
            diverse=options.beam_groups > 1,
            no_repeat_ngram=options.no_repeat_ngram,
        )

    def _inputs(self, search: _CompiledSearch, row_seeds: Sequence[int]) -> SearchInputs:
        spec = search.spec
        options, constraints, num_images = self.options, self.constraints, len(row_seeds)
        suppressed = np.zeros(self.tokenizer.vocabulary_size, bool)
        suppressed[[*self.tokenizer.suppress_tokens, *constraints.suppressed]] = True
        prefix = np.zeros(spec.length, np.int32)
        prefix[: len(constraints.prefix)] = constraints.prefix
        length = spec.length if spec.sampled else 0
        random_bits = np.zeros((search.batch_size, spec.num_hypotheses, length, 2), np.uint32)
        if spec.sampled:
            bits = draw_bits(options.seed, row_seeds, spec.num_hypotheses, self.captioner.max_length)
            random_bits[:num_images] = bits[:, :, : spec.length]
        return SearchInputs(
            num_images=np.int32(num_images),
            suppressed=suppressed,
            prefix=prefix,
            prefix_length=np.int32(len(constraints.prefix)),
            min_length=np.int32(options.min_length),
            first_track=np.int32(_first_track(constraints)),
            temperature=np.float32(options.temperature),
            top_k=np.int32(options.top_k or 0),
            top_p=np.float32(options.top_p or 1),
            repetition_penalty=np.float32(options.repetition_penalty),
            length_penalty=np.float32(options.length_penalty),
            diversity_penalty=np.float32(options.diversity_penalty),
            random_numbers=random_bits,
        )


def _first_track(constraints: Constraints) -> int:
    """With forced words, the track for as many of them as the prefix contains; otherwise -1 for all tracks."""
    return len(set(constraints.prefix) & set(constraints.forced)) if constraints.forced else -1
