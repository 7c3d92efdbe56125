"""Features of images -> captions: what the options ask for is given to a compiled search, and its finds are ranked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from caption_tx.config import DecodingOptions
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import ConfigError
from caption_tx.inference.search.compiled import compile_search
from caption_tx.inference.search.consensus import expected_utility
from caption_tx.inference.search.spec import SearchInputs, SearchSpec
from caption_tx.model.captioner import Captioner

__all__ = ["Caption", "DecodingOptions", "decode"]

BATCHES = (1, 4, 16, 32)
"""Sizes that a search is compiled for; a batch is filled up to the next one, a larger one divided."""

WORKERS = min(os.cpu_count() or 1, 8)
"""Parts of a larger batch that are searched side by side. What one core does alone, another core's part fills."""

FULL_BATCH = BATCHES[-1] * WORKERS
"""Images that keep all workers busy."""


@dataclass(frozen=True)
class Caption:
    """A generated caption.

    Attributes:
        token_ids: what the model chose, with the end mark where it set one, and the prefix.
        log_probabilities: the model's own for each of them, natural, <= 0, at temperature 1.
        finished: False for a caption that was cut at the length limit.
        rank: its place among the captions of its image, 0 the best.
        score: log-probability (with the repetition penalty where one is set) divided by
            length**length_penalty, <= 0; captions are ranked by it where no consensus is asked for.
        agreement: what they are ranked by where it is, in [0, 1] (see `consensus.agreement`), else None.
    """

    text: str
    words: tuple[str, ...]
    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finished: bool
    rank: int
    score: float
    expected_utility: float | None = None

    @property
    def log_probability(self) -> float:
        """Of the whole caption."""
        return float(sum(self.log_probabilities))


_SEARCHES: WeakKeyDictionary[Captioner, dict[SearchSpec, Callable]] = WeakKeyDictionary()


def _token_ids(words: Sequence[str], tokenizer: Tokenizer, option: str) -> list[int]:
    """The ids of words that the model knows, or a ConfigError that names those that it does not."""
    [marked] = tokenizer.tokenize([words])
    token_ids = marked[1:-1].tolist()
    unknown = [word for word, token in zip(words, token_ids, strict=True) if token == tokenizer.unk_token_id]
    if unknown:
        raise ConfigError(
            f"{option}: the model does not know {', '.join(map(repr, unknown))}; use words of its vocabulary."
        )
    return token_ids


def _prefix(text: str, tokenizer: Tokenizer, segmenter: Segmenter | None) -> list[int]:
    if not text:
        return []
    words = text.split() if segmenter is None else segmenter.segment(text)
    if not words:
        raise ConfigError(f"prefix: there are no words in {text!r}.")
    return _token_ids(words, tokenizer, "prefix")


def _single_words(texts: Sequence[str], tokenizer: Tokenizer, segmenter: Segmenter | None, option: str) -> list[int]:
    """The id of each text, which must be one word, as it stands or as it is segmented."""
    if not texts:
        return []
    known, words = set(tokenizer.vocabulary), []
    for text in texts:
        parts = [text] if text in known or segmenter is None else segmenter.segment(text)
        if len(parts) > 1:
            raise ConfigError(f"{option}: {text!r} is more than one word to the model; give {parts} one by one.")
        words += parts or [text]
    return list(dict.fromkeys(_token_ids(words, tokenizer, option)))


@dataclass(frozen=True)
class _Wanted:
    """The options in the model's terms; `length` is the most tokens of a caption."""

    length: int
    prefix: list[int]
    suppressed: list[int]
    forced: list[int]


def _translate(options: DecodingOptions, max_length: int, tokenizer: Tokenizer, segmenter: Segmenter | None) -> _Wanted:
    """What the options ask of this model, or a ConfigError where it cannot be had."""
    length = options.max_length or max_length
    if length > max_length:
        raise ConfigError(f"max_length must be at most {max_length}, as the model was trained, got {length}.")
    if options.min_length > length:
        raise ConfigError(f"min_length must be at most {length}, the tokens of a caption, got {options.min_length}.")
    prefix = _prefix(options.prefix, tokenizer, segmenter)
    suppressed = _single_words(options.suppress_words, tokenizer, segmenter, "suppress_words")
    forced = _single_words(options.force_words, tokenizer, segmenter, "force_words")
    if len(prefix) >= length:
        raise ConfigError(f"prefix: {len(prefix)} words leave no room in captions of at most {length} tokens.")
    if len(prefix) + len(set(forced) - set(prefix)) > length:
        raise ConfigError(f"force_words: {len(forced)} words do not fit into captions of at most {length} tokens.")
    for name, words in (("prefix", prefix), ("force_words", forced)):
        if both := set(words) & set(suppressed):
            raise ConfigError(f"suppress_words and {name} both name {tokenizer.to_words(sorted(both))}.")
    marks = {tokenizer.end_token_id, *tokenizer.suppress_tokens}
    if len(marks | set(suppressed)) == tokenizer.vocabulary_size:
        raise ConfigError("suppress_words leaves no word to make captions of.")
    return _Wanted(length, prefix, suppressed, forced)


def _random_bits(seed: int, row_seeds: Sequence[int], samples: int, max_length: int) -> np.ndarray:
    """Random bits, uint32 (B, samples, max_length, 2): an image's depend on its own seed and `seed` only.

    A sample's do not depend on how many samples there are either.
    """
    # As uint64 at once: a list with a number above 2**63 in it would pass through float and lose digits.
    keys = np.array([[seed, row] for row in row_seeds], np.uint64)
    bits = np.stack([np.random.Philox(key=key).random_raw(samples * max_length) for key in keys])
    return bits.view(np.uint32).reshape(len(keys), samples, max_length, 2)


def _plan(options: DecodingOptions, wanted: _Wanted, tokenizer: Tokenizer, batch: int) -> SearchSpec:
    beam = options.beam_width > 1
    tracks = len(wanted.forced) + 1 if wanted.forced else options.beam_groups
    width = options.beam_width // options.beam_groups if beam else options.samples
    return SearchSpec(
        batch=batch,
        length=wanted.length,
        start=tokenizer.start_token_id,
        end=tokenizer.end_token_id,
        pad=tokenizer.pad_token_id,
        width=width,
        tracks=tracks,
        beam=beam,
        forced=tuple(wanted.forced),
        n_best=1 if not beam else options.n_best if options.consensus is None else width,
        drawn=options.temperature > 0,
        top_k=options.top_k is not None,
        top_p=options.top_p is not None and options.top_p < 1,
        repetition=options.repetition_penalty != 1,
        diverse=options.beam_groups > 1,
        no_repeat_ngram=options.no_repeat_ngram,
    )


def _numbers(
    plan: SearchSpec,
    options: DecodingOptions,
    wanted: _Wanted,
    tokenizer: Tokenizer,
    count: int,
    bits: np.ndarray | None,
) -> SearchInputs:
    suppressed = np.zeros(tokenizer.vocabulary_size, bool)
    suppressed[[*tokenizer.suppress_tokens, *wanted.suppressed]] = True
    prefix = np.zeros(plan.length, np.int32)
    prefix[: len(wanted.prefix)] = wanted.prefix
    keys = np.zeros((plan.batch, plan.group, plan.length if plan.drawn else 0, 2), np.uint32)
    if bits is not None:
        keys[:count] = bits[:, :, : plan.length]
    return SearchInputs(
        count=np.int32(count),
        suppressed=suppressed,
        prefix=prefix,
        prefix_length=np.int32(len(wanted.prefix)),
        min_length=np.int32(options.min_length),
        first_track=np.int32(len(set(wanted.prefix) & set(wanted.forced)) if wanted.forced else -1),
        temperature=np.float32(options.temperature),
        top_k=np.int32(options.top_k or 0),
        top_p=np.float32(options.top_p or 1),
        repetition_penalty=np.float32(options.repetition_penalty),
        length_penalty=np.float32(options.length_penalty),
        diversity_penalty=np.float32(options.diversity_penalty),
        keys=keys,
    )


def decode(
    captioner: Captioner,
    features: np.ndarray | tf.Tensor,
    tokenizer: Tokenizer,
    options: DecodingOptions | None = None,
    row_seeds: Sequence[int] | None = None,
    segmenter: Segmenter | None = None,
) -> list[list[Caption]]:
    """Captions of any number of images.

    Args:
        features: float (B, h, w, C), activations as the backbone gives them.
        row_seeds: one number in [0, 2**64) an image, such as a hash of its content; with
            `options.seed` it alone decides the image's samples, whatever batch it stands in.
        segmenter: divides `options.prefix` into words; without it they stand between spaces.

    Returns:
        For every image at most `options.n_best` captions, best first: those that ended before those that
        were cut, then by score. There are fewer where samples or groups of beams found the same, or where a
        beam search has not so many to choose from. Of diverse beams the best of each group come first into
        the choice. Greedy and drawn captions are the same in any batch: an image where a tie to within the last
        bits was decided is searched again alone. Beams are not: of two whose sums differ by such bits one batch
        may keep the one, another the other.

    Raises:
        ConfigError: the model does not know a word of the options, or has no positions for what they ask.
        ValueError: the features have another shape than the model was made for.
    """
    options = options or DecodingOptions()
    expected = tuple(captioner.settings["feature_shape"])
    shape = tuple(np.shape(features))
    if len(shape) != 4 or shape[1:] != expected:
        raise ValueError(f"Expected features of shape (B, {expected}), got {shape}.")
    wanted = _translate(options, captioner.max_length, tokenizer, segmenter)
    features = tf.cast(features, tf.float32)  # a tensor as it is: copies of NumPy arrays cost a twentieth of a search
    row_seeds = [0] * len(features) if row_seeds is None else row_seeds
    if len(row_seeds) != len(features):
        raise ValueError(f"Expected one row seed an image, got {len(row_seeds)} for {len(features)}.")
    results: list[list[Caption]] = []
    for plan, *found, unsure in _search(captioner, features, tokenizer, options, wanted, row_seeds):
        if unsure and len(features) > 1:
            # A tie to within the last bits could fall otherwise in another batch: alone it is always the same.
            row = slice(len(results), len(results) + 1)
            [(plan, *found, _)] = _search(captioner, features[row], tokenizer, options, wanted, row_seeds[row])
        results.append(_rank(plan, options, tokenizer, *found))
    return results


def draw_samples(
    captioner: Captioner,
    features: np.ndarray | tf.Tensor,
    tokenizer: Tokenizer,
    temperature: float,
    samples: int,
    row_seeds: Sequence[int],
) -> list[list[list[int]]]:
    """`samples` captions of each image as token_ids, each drawn for itself, so that one may come several times.

    Args:
        features: float (B, h, w, C). row_seeds: as of `decode`.
    """
    options = DecodingOptions(temperature=temperature, samples=samples, n_best=samples)
    wanted = _translate(options, captioner.max_length, tokenizer, None)
    end, drawn = tokenizer.end_token_id, []
    for _, tokens, _, _, finished, _ in _search(
        captioner, tf.cast(features, tf.float32), tokenizer, options, wanted, row_seeds
    ):
        rows = [row.tolist() for row in tokens]
        drawn.append([row[: row.index(end) + 1] if done else row for row, done in zip(rows, finished, strict=True)])
    return drawn


def _search(
    captioner: Captioner,
    features: tf.Tensor,
    tokenizer: Tokenizer,
    options: DecodingOptions,
    wanted: _Wanted,
    row_seeds: Sequence[int],
) -> list[tuple]:
    """Of every image the plan that it was searched by, and the fields of `Found`."""
    searches = _SEARCHES.setdefault(captioner, {})

    def plan_of(batch: int) -> SearchSpec:
        plan = _plan(options, wanted, tokenizer, batch)
        if plan not in searches:
            searches[plan] = compile_search(captioner, plan)
        return plan

    def run(plan: SearchSpec, rows: slice) -> list[tuple]:
        images = features[rows]
        count = len(images)
        if count < plan.batch:
            images = tf.concat([images, tf.zeros((plan.batch - count, *images.shape[1:]))], axis=0)
        seeds = row_seeds[rows]
        bits = _random_bits(options.seed, seeds, plan.group, captioner.max_length) if plan.drawn else None
        numbers = _numbers(plan, options, wanted, tokenizer, count, bits)
        found = [part.numpy()[:count] for part in searches[plan](images, numbers)]
        return [(plan, *image) for image in zip(*found, strict=True)]

    parts = [slice(start, min(start + BATCHES[-1], len(features))) for start in range(0, len(features), BATCHES[-1])]
    plans = [plan_of(next(size for size in BATCHES if size >= part.stop - part.start)) for part in parts]
    if len(parts) == 1 or WORKERS == 1:
        found = map(run, plans, parts)
    else:
        with ThreadPoolExecutor(WORKERS) as pool:
            found = list(pool.map(run, plans, parts))
    return [image for part in found for image in part]


def _rank(
    plan: SearchSpec,
    options: DecodingOptions,
    tokenizer: Tokenizer,
    tokens: np.ndarray,
    log_probabilities: np.ndarray,
    totals: np.ndarray,
    finished: np.ndarray,
) -> list[Caption]:
    """The captions to return of those found, (M, P), (M, P), (M,) and (M,)."""
    found: dict[tuple[int, ...], tuple] = {}
    ended = plan.tracks * plan.n_best if plan.beam and not plan.forced else plan.n_best
    for place in np.flatnonzero(np.isfinite(totals)).tolist():
        row = tokens[place]
        length = int(np.argmax(row == tokenizer.end_token_id)) + 1 if finished[place] else plan.length
        token_ids = tuple(row[:length].tolist())
        score = float(totals[place]) / length**options.length_penalty
        # Of every group its best, then of every group its second, and so on.
        turn = (place % plan.n_best if place < ended else (place - ended) % plan.width) if plan.diverse else 0
        entry = (not finished[place], turn, -score, token_ids, log_probabilities[place, :length].tolist())
        if token_ids not in found or entry < found[token_ids]:
            found[token_ids] = entry
    if options.consensus is None:
        chosen = sorted(found.values(), key=lambda entry: entry[:3])[: options.n_best]
        chosen.sort(key=lambda entry: (entry[0], entry[2]))
        agreed = [None] * len(chosen)
    else:
        # As many as the search follows: those that `n_best` could ask for.
        entries = sorted(found.values(), key=lambda entry: entry[:3])[: max(options.beam_width, options.samples)]
        values = expected_utility(
            [entry[3] for entry in entries], [sum(entry[4]) for entry in entries], options.consensus
        )
        order = sorted(range(len(entries)), key=lambda place: (entries[place][0], -values[place]))[: options.n_best]
        chosen, agreed = [entries[place] for place in order], [float(values[place]) for place in order]
    return [
        Caption(
            text=tokenizer.detokenize(token_ids),
            words=tuple(tokenizer.to_words(token_ids)),
            token_ids=token_ids,
            log_probabilities=tuple(values),
            finished=not cut,
            rank=rank,
            score=-negative,
            expected_utility=agreed[rank],
        )
        for rank, (cut, _, negative, token_ids, values) in enumerate(chosen)
    ]
