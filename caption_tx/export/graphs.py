"""The graphs that every target exports: pixels -> features -> captions and attention scores.

Letters: B images, M captions per image, P positions, L layers, N heads, h/w feature grid, S = h*w cells.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import einops
import numpy as np
import tensorflow as tf

from caption_tx.config import DecodingOptions
from caption_tx.data.features.backbone import dequantize, quantize
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.inference.search.arrays import batch_size_of
from caption_tx.inference.search.beam_search import beam_search
from caption_tx.inference.search.sampling import run_sampling
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec


class Explanation(NamedTuple):
    """What a teacher-forced pass reads for captions of at most P tokens; rows of padding are 0.

    Attributes:
        log_probs: float32 (B, P), the log-probability of each token.
        attention_scores: float32 (B, L, N, P, S); row t was computed when token t was predicted.
        self_attention_scores: float32 (B, L, N, P, P).
    """

    log_probs: tf.Tensor
    attention_scores: tf.Tensor
    self_attention_scores: tf.Tensor


class CaptionGraphs:
    """The parts of a captioner as functions for `tf.function`, for any batch size.

    Attributes:
        image_size: side of the images in pixels.
        grid: (h, w). length: P, the most tokens in a caption.
        variables: of the backbone and the captioner.
    """

    def __init__(self, captioner: ImageCaptioner) -> None:
        self.captioner = captioner
        self.model, self.tokenizer = captioner.bundle.captioner, captioner.bundle.tokenizer
        self.backbone = captioner.backbone
        self.image_size: int = self.backbone.config.image_size
        self.grid = self.backbone.feature_shape[:2]
        self.length: int = self.model.max_length
        networks = (self.backbone.network, self.model)
        self.variables = [variable.value for network in networks for variable in network.variables]
        tokenizer = self.tokenizer
        self._spec = SearchSpec(
            length=self.length,
            start_token_id=tokenizer.start_token_id,
            end_token_id=tokenizer.end_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )

    def features(self, pixels: tf.Tensor) -> tf.Tensor:
        """uint8 (B, size, size, 3) -> float32 (B, h, w, C), rounded like the features of a cache."""
        activations = self.backbone.network(tf.cast(pixels, tf.float32), training=False)
        return dequantize(quantize(activations, self.backbone.config.storage))

    def greedy(self, features: tf.Tensor) -> SearchResult:
        """Features (B, h, w, C) -> one caption per image."""
        return run_sampling(self.model, self._spec, features, self.inputs(features))

    def sample(self, features: tf.Tensor, random_numbers: tf.Tensor, **inputs: tf.Tensor) -> SearchResult:
        """Features (B, h, w, C) -> one sample per image, with top_k and top_p.

        Args:
            random_numbers: (B, 1, P, ..) as in `SearchInputs`.
            inputs: fields of `SearchInputs`, among them temperature, top_k and top_p.
        """
        spec = replace(self._spec, sampled=True, top_k=True, top_p=True)
        given = self.inputs(features)._replace(random_numbers=random_numbers, **inputs)
        return run_sampling(self.model, spec, features, given)

    def beam(self, features: tf.Tensor, width: int, n_best: int = 1, **inputs: tf.Tensor) -> SearchResult:
        """Features (B, h, w, C) -> at least `n_best` captions per image: finished ones, then truncated ones.

        Args:
            inputs: fields of `SearchInputs`.
        """
        spec = replace(self._spec, beam=True, width=width, n_best=n_best)
        return beam_search(self.model, spec, features, self.inputs(features)._replace(**inputs))

    def inputs(self, features: tf.Tensor) -> SearchInputs:
        """The inputs of a search with default options."""
        suppressed = np.zeros(self.tokenizer.vocabulary_size, bool)
        suppressed[list(self.tokenizer.suppress_tokens)] = True
        options = DecodingOptions()
        return SearchInputs(
            num_images=batch_size_of(features),
            suppressed=tf.constant(suppressed),
            prefix=tf.zeros(self.length, tf.int32),
            prefix_length=tf.constant(0),
            min_length=tf.constant(options.min_length),
            first_track=tf.constant(-1),
            temperature=tf.constant(1.0),
            top_k=tf.constant(self.tokenizer.vocabulary_size),
            top_p=tf.constant(1.0),
            repetition_penalty=tf.constant(1.0),
            length_penalty=tf.constant(options.length_penalty),
            diversity_penalty=tf.constant(0.0),
            random_numbers=tf.zeros((batch_size_of(features), 1, 0, 2), tf.uint32),
        )

    def explain(self, features: tf.Tensor, token_ids: tf.Tensor) -> Explanation:
        """Read the attention of captions, int32 (B, T), generated or given, that end with padding."""
        tokenizer = self.tokenizer
        is_token = token_ids != tokenizer.pad_token_id  # (B, T)
        start = tf.fill((batch_size_of(token_ids), 1), tokenizer.start_token_id)
        length = tf.shape(token_ids)[1] if token_ids.shape[1] is None else token_ids.shape[1]
        inputs = {
            "features": features,
            "token_ids": tf.concat([start, token_ids[:, :-1]], axis=1),
            "positions": tf.where(is_token, tf.range(length), 0),
            "segment_ids": tf.cast(is_token, tf.int32),
        }
        logits, cross, own = self.model(
            inputs, training=False, return_attention_scores=True, return_self_attention_scores=True
        )
        log_probs = tf.gather(tf.nn.log_softmax(logits), token_ids, axis=2, batch_dims=2)  # (B, T)
        mask = is_token[:, None, None, :, None]
        return Explanation(tf.where(is_token, log_probs, 0.0), tf.where(mask, cross, 0.0), tf.where(mask, own, 0.0))

    def cells(self, features: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        """What each cell alone says about the tokens of captions, see `teacher_forcing.read_cells`.

        One row of cells is read after another, which bounds the memory.

        Args:
            token_ids: int32 (B, P), as for `explain`.

        Returns:
            float32 (B, P, S); rows of padding are 0.
        """
        h, w = self.grid
        pairs = self.model.keys_values_of_cells(features)
        rows = [tuple(einops.rearrange(part, "(r w) n 1 k -> r w n 1 k", w=w) for part in pair) for pair in pairs]
        count = batch_size_of(rows[0][0])  # B*h

        def read(row: tf.Tensor, log_probs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            keys_values = tf.nest.map_structure(lambda part: part[row], rows)
            values = self._read_cells(keys_values, token_ids[row // h])
            return row + 1, tf.where(tf.range(count)[:, None, None] == row, values, log_probs)

        log_probs = tf.zeros((count, w, token_ids.shape[1]))
        _, log_probs = tf.while_loop(lambda row, _: row < count, read, (tf.constant(0), log_probs))
        return einops.rearrange(log_probs, "(b h) w p -> b p (h w)", h=h)

    def _read_cells(self, keys_values: list[tuple[tf.Tensor, tf.Tensor]], token_ids: tf.Tensor) -> tf.Tensor:
        """The log-probability of each token from each of w cells: keys and values (w, N, 1, K) -> float32 (w, P).

        One token is read after another up to the last one of the caption, which is mostly much shorter than P.
        """
        model, cells, length = self.model, keys_values[0][0].shape[0], token_ids.shape[0]
        is_token = token_ids != self.tokenizer.pad_token_id  # (P,)
        count = tf.reduce_sum(tf.cast(is_token, tf.int32))
        inputs = tf.concat([[self.tokenizer.start_token_id], token_ids], axis=0)

        def read(index: tf.Tensor, log_probs: tf.Tensor, cache: list) -> tuple[tf.Tensor, tf.Tensor, list]:
            logits, cache = model.step(tf.fill((cells, 1), inputs[index]), index, keys_values, cache)  # (w, 1, V)
            values = tf.gather(logits, token_ids[index], axis=2) - tf.reduce_logsumexp(logits, axis=2)  # (w, 1)
            return index + 1, tf.where(tf.range(length) == index, values, log_probs), cache

        # The zeros of the cache are computed: the converter would store constants in the file, as large as they are.
        zero = tf.cast(count < 0, model.compute_dtype)
        cache = tf.nest.map_structure(lambda part: tf.fill(part.shape, zero), model.empty_cache(cells, length))
        state = (tf.constant(0), tf.zeros((cells, length)), cache)
        _, log_probs, _ = tf.while_loop(lambda index, *_: index < count, read, state)
        return log_probs


def save_functions(functions: dict[str, Callable], variables: list[tf.Variable], folder: str | Path) -> None:
    """Write a SavedModel with a signature for each `tf.function`; it holds the variables, without Keras."""
    module = tf.Module()
    module.exported_variables = variables
    with without_warnings():
        tf.saved_model.save(
            module,
            str(folder),
            signatures={name: function.get_concrete_function() for name, function in functions.items()},
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Leaves out TensorFlow's warnings, which are about gradients that an export does not have."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
