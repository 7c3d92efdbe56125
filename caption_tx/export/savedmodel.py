"""A SavedModel that captions the bytes of image files with TensorFlow alone.

Letters: B images, P positions, L layers, N heads, h/w feature grid.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from caption_tx.data.text.scripts import is_written_with_spaces
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import END, SPECIAL_TOKENS
from caption_tx.export.graphs import CaptionGraphs, save_functions
from caption_tx.export.images import decode_images
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.inference.search.logits import mix
from caption_tx.inference.search.spec import SearchResult

_COLDEST = 1e-4
"""The lowest temperature; at 0 a sample is the greedy caption."""


def write_saved_model(captioner: ImageCaptioner, folder: Path, beam_width: int) -> None:
    """Write the SavedModel of a captioner into an empty or missing folder.

    Args:
        beam_width: hypotheses of the signature `beam`.
    """
    graphs = CaptionGraphs(captioner)
    signatures = _Signatures(graphs, beam_width)
    files = tf.TensorSpec((None,), tf.string, name="images")
    per_image = {"temperature": tf.float32, "top_k": tf.int32, "top_p": tf.float32, "seed": tf.int64}
    specs = {
        "serving_default": (signatures.greedy, [files]),
        "sample": (
            signatures.sample,
            [files, *(tf.TensorSpec((None,), kind, name=name) for name, kind in per_image.items())],
        ),
        "beam": (signatures.beam, [files]),
        "explain": (signatures.explain, [files]),
        "explain_token_ids": (
            signatures.explain_token_ids,
            [files, tf.TensorSpec((None, None), tf.int32, name="token_ids")],
        ),
    }
    functions = {
        name: tf.function(function, input_signature=signature, autograph=False)
        for name, (function, signature) in specs.items()
    }
    save_functions(functions, graphs.variables, folder)


class _Signatures:
    """The functions of the signatures; every input and output has one row per image. They share `_features`."""

    def __init__(self, graphs: CaptionGraphs, beam_width: int) -> None:
        self.graphs, self.beam_width = graphs, beam_width
        self._detokenize = Detokenizer(graphs.tokenizer)
        self._features = tf.function(self._read_features, [tf.TensorSpec((None,), tf.string)], autograph=False)

    def greedy(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Greedy captions."""
        features, readable = self._features(images)
        return self._outputs(self.graphs.greedy(features), readable)

    def sample(
        self, images: tf.Tensor, temperature: tf.Tensor, top_k: tf.Tensor, top_p: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """One sample per image. It depends on the image's bytes and its inputs, not on the rest of the batch."""
        features, readable = self._features(images)
        size = self.graphs.tokenizer.vocabulary_size
        result = self.graphs.sample(
            features,
            _random_bits(images, seed, self.graphs.length),
            temperature=tf.maximum(temperature, _COLDEST)[:, None, None],
            top_k=tf.where((top_k < 1) | (top_k > size), size, top_k)[:, None, None],
            top_p=tf.where((top_p <= 0) | (top_p > 1), 1.0, top_p)[:, None, None],
        )
        return self._outputs(result, readable)

    def beam(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best caption of a beam search: a finished one, if there is one."""
        features, readable = self._features(images)
        result = self.graphs.beam(features, self.beam_width)
        order = result.total + tf.where(result.finished, 1e6, 0.0)
        best = tf.argmax(order, axis=1, output_type=tf.int32)[:, None]  # (B, 1)
        parts = (tf.gather(part, best, batch_dims=1) for part in result[:-1])
        return self._outputs(SearchResult(*parts, near_tie=result.near_tie), readable)

    def explain(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Greedy captions and where the model looked for each of their tokens."""
        features, readable = self._features(images)
        result = self.graphs.greedy(features)
        return self._outputs(result, readable) | self._maps(features, result.token_ids[:, 0])

    def explain_token_ids(self, images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Where the model looked for each token of given captions (B, T), padded with 0."""
        features, readable = self._features(images)
        return {"readable": readable} | self._maps(features, token_ids)

    def _read_features(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, readable = decode_images(images, self.graphs.image_size)
        return self.graphs.features(pixels), readable

    def _outputs(self, result: SearchResult, readable: tf.Tensor) -> dict[str, tf.Tensor]:
        """The first caption of each image; an unreadable image has the text "" and tokens of padding."""
        token_ids = tf.where(readable[:, None], result.token_ids[:, 0], self.graphs.tokenizer.pad_token_id)
        is_token = token_ids != self.graphs.tokenizer.pad_token_id
        return {
            "text": self._detokenize(token_ids),
            "token_ids": token_ids,
            "log_probs": tf.where(is_token, result.log_probs[:, 0], 0.0),
            "finished": result.finished[:, 0] & readable,
            "readable": readable,
        }

    def _maps(self, features: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """`attention_maps` is pooled as `sharp` (`inference/attention/pooling.py`); rows of padding are 0."""
        explained = self.graphs.explain(features, token_ids)
        scores = explained.attention_scores
        scores = tf.reshape(scores, tf.concat([tf.shape(scores)[:4], self.graphs.grid], axis=0))  # (B, L, N, T, h, w)
        squares = tf.square(tf.reduce_mean(scores, axis=(1, 2)))  # (B, T, h, w)
        return {
            "attention_maps": tf.math.divide_no_nan(squares, tf.reduce_sum(squares, axis=(2, 3), keepdims=True)),
            "attention_scores": scores,
            "log_probs": explained.log_probs,
        }


class Detokenizer:
    """`Tokenizer.detokenize` as a graph: int32 (B, P) -> string (B,)."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        words = ["" if index < len(SPECIAL_TOKENS) else word for index, word in enumerate(tokenizer.vocabulary)]
        always = tokenizer.language != "zh"
        self._words = tf.constant(words)
        self._first = tf.constant([always or (bool(word) and is_written_with_spaces(word[0])) for word in words])
        self._last = tf.constant([always or (bool(word) and is_written_with_spaces(word[-1])) for word in words])

    def __call__(self, token_ids: tf.Tensor) -> tf.Tensor:
        ended = tf.cumsum(tf.cast(token_ids == END, tf.int32), axis=1) > 0
        is_word = (token_ids >= len(SPECIAL_TOKENS)) & ~ended
        before = is_word[:, :-1] & tf.gather(self._last, token_ids[:, :-1])
        spaced = tf.pad(before & tf.gather(self._first, token_ids[:, 1:]), [[0, 0], [1, 0]])
        separators = tf.where(spaced & is_word, " ", "")
        words = tf.where(is_word, tf.gather(self._words, token_ids), "")
        return tf.strings.reduce_join(separators + words, axis=1)


def _random_bits(images: tf.Tensor, seed: tf.Tensor, length: int) -> tf.Tensor:
    """Random bits of each image and position, uint32 (B, 1, P, 2), from the image's bytes and the seed (B,)."""
    key = tf.strings.to_hash_bucket_strong(images, np.iinfo(np.int64).max, key=[0x5851F42D, 0x14057B7E])
    key = tf.bitcast(tf.bitwise.bitwise_xor(key, seed * 0x5851F42D4C957F2D), tf.uint32)  # (B, 2)
    counter = tf.cast(tf.range(2 * length), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    bits = mix(tf.bitwise.bitwise_xor(mix(counter + key[:, :1]), key[:, 1:]))  # (B, 2P)
    return tf.reshape(bits, (-1, 1, length, 2))
