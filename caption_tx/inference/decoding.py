"""Token search: features of images -> captions, in one compiled graph with cached keys and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary, ref

import numpy as np
import tensorflow as tf

from caption_tx.config import DecodingOptions
from caption_tx.data.tokenizer import Tokenizer
from caption_tx.errors import ConfigError
from caption_tx.model.captioner import Captioner

__all__ = ["Caption", "DecodingOptions", "decode"]


@dataclass(frozen=True)
class Caption:
    """A generated caption.

    `token_ids` are those the model chose, with the end mark where it set one; `log_probabilities`
    (natural, <= 0) are the model's own for each of them, at temperature 1. `finished` is False for a
    caption that was cut at the length limit.
    """

    text: str
    words: tuple[str, ...]
    token_ids: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    finished: bool
    rank: int = 0
    score: float = 0.0

    @property
    def log_probability(self) -> float:
        """Of the whole caption."""
        return float(sum(self.log_probabilities))


_SEARCHES: WeakKeyDictionary[Captioner, dict[tuple, Callable]] = WeakKeyDictionary()


def _compile(captioner: Captioner, length: int, tokenizer: Tokenizer) -> Callable:
    """The search as a graph: (features, temperature, uniforms) -> token_ids, log_probabilities, finished."""
    start, end, pad = tokenizer.start_token_id, tokenizer.end_token_id, tokenizer.pad_token_id
    vocabulary_size, held = captioner.vocabulary_size, ref(captioner)
    suppressed = np.zeros(vocabulary_size, bool)
    suppressed[list(tokenizer.suppress_tokens)] = True

    def choose(logits: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        allowed = tf.where(suppressed, logits.dtype.min, logits)
        best = tf.argmax(allowed, axis=-1, output_type=tf.int32)
        warm = tf.nn.softmax(allowed / tf.where(temperature > 0, temperature, 1.0))
        # Inverse of the cumulative distribution: one uniform number a row and step decides. It is
        # scaled by the sum, since float32 sums of many shares do not end at 1 exactly.
        cumulated = tf.cumsum(warm, axis=-1)
        sampled = tf.reduce_sum(tf.cast(cumulated <= uniform[:, None] * cumulated[:, -1:], tf.int32), axis=-1)
        return tf.where(temperature > 0, tf.minimum(sampled, vocabulary_size - 1), best)

    def search(features: tf.Tensor, temperature: tf.Tensor, uniforms: tf.Tensor) -> tuple[tf.Tensor, ...]:
        batch = tf.shape(features)[0]
        captioner = held()  # the graph is kept for as long as the captioner lives, so it may not keep it alive
        keys_values = captioner.keys_values(features, training=False)
        cache = captioner.empty_cache(batch, length)

        def going_on(index: tf.Tensor, token: tf.Tensor, finished: tf.Tensor, *_: object) -> tf.Tensor:
            return (index < length) & ~tf.reduce_all(finished)

        def step(
            index: tf.Tensor,
            token: tf.Tensor,
            finished: tf.Tensor,
            tokens: tf.TensorArray,
            log_probabilities: tf.TensorArray,
            *cache: tf.Tensor,
        ) -> tuple:
            logits, cache = captioner.step(token, index, keys_values, list(cache))
            # A caption has at least one word; only the choice is barred, the log-probabilities stay the model's.
            barred = (index == 0) & (tf.range(vocabulary_size) == end)
            allowed = tf.where(barred, logits.dtype.min, logits)
            chosen = choose(allowed, temperature, tf.gather(uniforms, index, axis=1))
            chosen = tf.where(finished, pad, chosen)
            value = tf.gather(tf.nn.log_softmax(logits), chosen, batch_dims=1)
            tokens = tokens.write(index, chosen)
            log_probabilities = log_probabilities.write(index, tf.where(finished, 0.0, value))
            return (index + 1, chosen, finished | (chosen == end), tokens, log_probabilities, *cache)

        begin = (
            tf.constant(0),
            tf.fill((batch,), start),
            tf.zeros((batch,), tf.bool),
            tf.TensorArray(tf.int32, length, element_shape=(None,)),
            tf.TensorArray(tf.float32, length, element_shape=(None,)),
        )
        state = tf.while_loop(going_on, step, (*begin, *cache))
        index, _, finished, tokens, log_probabilities, *_ = state
        tokens = tf.transpose(tokens.stack())[:, :index]
        return tokens, tf.transpose(log_probabilities.stack())[:, :index], finished

    signature = [
        tf.TensorSpec((None, *captioner.settings["feature_shape"]), tf.float32),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((None, length), tf.float32),
    ]
    return tf.function(search, input_signature=signature, autograph=False)


def _uniforms(seed: int, row_seeds: Sequence[int], length: int) -> np.ndarray:
    """(B, length) in [0, 1): a row's numbers depend on its own seed and `seed`, on nothing else."""
    # As uint64 at once: a list with a number above 2**63 in it would pass through float and lose digits.
    keys = np.array([[seed, row] for row in row_seeds], np.uint64)
    return np.stack([np.random.Generator(np.random.Philox(key=key)).random(length, np.float32) for key in keys])


def decode(
    captioner: Captioner,
    features: np.ndarray,
    tokenizer: Tokenizer,
    options: DecodingOptions | None = None,
    row_seeds: Sequence[int] | None = None,
) -> list[Caption]:
    """Captions of a batch of images.

    Args:
        features: float (B, h, w, C), activations as the backbone gives them.
        row_seeds: one number in [0, 2**64) an image, such as a hash of its content; with
            `options.seed` it alone decides the image's samples, whatever batch it stands in.

    Raises:
        ConfigError: `options.max_length` is above what the model has positions for.
        ValueError: the features have another shape than the model was made for.
    """
    options = options or DecodingOptions()
    expected = tuple(captioner.settings["feature_shape"])
    if np.ndim(features) != 4 or tuple(np.shape(features)[1:]) != expected:
        raise ValueError(f"Expected features of shape (B, {expected}), got {np.shape(features)}.")
    length = options.max_length or captioner.max_length
    if length > captioner.max_length:
        raise ConfigError(f"max_length must be at most {captioner.max_length}, as the model was trained, got {length}.")
    if len(features) == 0:
        return []
    searches = _SEARCHES.setdefault(captioner, {})
    key = (length, tokenizer.start_token_id, tokenizer.end_token_id, tuple(tokenizer.suppress_tokens))
    if key not in searches:
        searches[key] = _compile(captioner, length, tokenizer)
    row_seeds = [0] * len(features) if row_seeds is None else row_seeds
    uniforms = _uniforms(options.seed, row_seeds, length)
    results = searches[key](tf.cast(features, tf.float32), tf.constant(options.temperature, tf.float32), uniforms)
    return [_caption(*row, tokenizer) for row in zip(*(part.numpy() for part in results), strict=True)]


def _caption(token_ids: np.ndarray, log_probabilities: np.ndarray, finished: bool, tokenizer: Tokenizer) -> Caption:
    ends = np.flatnonzero(token_ids == tokenizer.end_token_id)
    length = int(ends[0]) + 1 if finished else len(token_ids)
    chosen = token_ids[:length].tolist()
    return Caption(
        text=tokenizer.detokenize(chosen),
        words=tuple(tokenizer.words(chosen)),
        token_ids=tuple(chosen),
        log_probabilities=tuple(log_probabilities[:length].tolist()),
        finished=bool(finished),
        score=float(np.mean(log_probabilities[:length])),
    )
