"""A LiteRT file that captions pixels with built-in operators only, for phones and for starting fast.

Every signature takes one image. Letters: P positions, V vocabulary_size, M captions, L layers, N heads, S cells.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from caption_tx.export.graphs import CaptionGraphs, save_functions, without_warnings
from caption_tx.inference.search.spec import SearchResult


def convert(functions: dict[str, Callable], variables: list[tf.Variable], precision: str) -> bytes:
    """Convert `tf.function`s with input signatures to one LiteRT file with a signature for each.

    Args:
        precision: of the weights: "float32", "float16" or "int8".
    """
    with tempfile.TemporaryDirectory() as folder, without_warnings():
        save_functions(functions, variables, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def caption_functions(graphs: CaptionGraphs, beam_width: int) -> dict[str, Callable]:
    """The signatures of a file: greedy, beam, sample, explain and cells."""
    size, length, vocabulary_size = graphs.image_size, graphs.length, graphs.tokenizer.vocabulary_size
    image = {"image": tf.TensorSpec((1, size, size, 3), tf.uint8)}
    constraints = {
        "suppressed": tf.TensorSpec((vocabulary_size,), tf.bool),
        "prefix": tf.TensorSpec((length,), tf.int32),
        "prefix_length": tf.TensorSpec((), tf.int32),
        "min_length": tf.TensorSpec((), tf.int32),
    }
    sampling = {
        "temperature": tf.TensorSpec((), tf.float32),
        "top_k": tf.TensorSpec((), tf.int32),
        "top_p": tf.TensorSpec((), tf.float32),
        "uniforms": tf.TensorSpec((length, vocabulary_size), tf.float32),
    }

    def greedy(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return _outputs(graphs.greedy(graphs.features(image)))

    def beam(image: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return _outputs(graphs.beam(graphs.features(image), beam_width, beam_width, **inputs))

    def sample(image: tf.Tensor, uniforms: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return _outputs(graphs.sample(graphs.features(image), uniforms[None, None], **inputs))

    def explain(image: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        explained = graphs.explain(graphs.features(image), token_ids[None])
        names = ("log_probs", "attention_scores", "self_attention_scores")
        return {name: part[0] for name, part in zip(names, explained, strict=True)}

    def cells(image: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"cell_log_probs": graphs.cells(graphs.features(image), token_ids[None])[0]}

    caption = image | {"token_ids": tf.TensorSpec((length,), tf.int32)}
    penalty = {"length_penalty": tf.TensorSpec((), tf.float32)}
    return {
        "greedy": _function(greedy, image),
        "beam": _function(beam, image | constraints | penalty),
        "sample": _function(sample, image | constraints | sampling),
        "explain": _function(explain, caption),
        "cells": _function(cells, caption),
    }


def _outputs(result: SearchResult) -> dict[str, tf.Tensor]:
    """The M captions of the image; a total of -inf marks an empty slot."""
    names = ("token_ids", "log_probs", "total", "finished")
    return {name: getattr(result, name)[0] for name in names}


def part_functions(graphs: CaptionGraphs) -> dict[str, Callable]:
    """The encoder and one step of the decoder, without loops, for delegates that cannot run them."""
    model, length = graphs.model, graphs.length
    size = graphs.image_size
    head = model.settings.hidden_dim // model.num_heads
    memory = (1, model.num_heads, graphs.grid[0] * graphs.grid[1], head)
    cache = (1, model.num_heads, length, head)
    layers = range(model.settings.num_layers)

    def encoder(image: tf.Tensor) -> dict[str, tf.Tensor]:
        keys_values = model.keys_values(graphs.features(image), training=False)
        return _name_layers("memory", keys_values)

    def step(token_id: tf.Tensor, index: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        keys_values, past = (
            [(state[f"{kind}_key_{layer}"], state[f"{kind}_value_{layer}"]) for layer in layers]
            for kind in ("memory", "cache")
        )
        logits, past = model.step(token_id[None, None], index, keys_values, past)
        is_end = tf.range(model.vocabulary_size) == graphs.tokenizer.end_token_id
        suppressed = graphs.inputs(logits).suppressed | (is_end & (index < 1))  # a caption has a word
        return {"log_probs": tf.nn.log_softmax(tf.where(suppressed, -1e9, logits[0, 0]))} | _name_layers("cache", past)

    state = {
        f"{kind}_{part}_{layer}": tf.TensorSpec(shape, tf.float32)
        for kind, shape in (("memory", memory), ("cache", cache))
        for layer in layers
        for part in ("key", "value")
    }
    scalar = tf.TensorSpec((), tf.int32)
    return {
        "encoder": _function(encoder, {"image": tf.TensorSpec((1, size, size, 3), tf.uint8)}),
        "step": _function(step, {"token_id": scalar, "index": scalar} | state),
    }


def _name_layers(kind: str, pairs: list[tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
    return {
        f"{kind}_{part}_{layer}": value
        for layer, pair in enumerate(pairs)
        for part, value in zip(("key", "value"), pair, strict=True)
    }


def _function(run: Callable[..., dict[str, Any]], inputs: dict[str, tf.TensorSpec]) -> Callable:
    """A function for these inputs, whose names the signature gets."""

    def call(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return run(**dict(zip(inputs, values, strict=True)))

    specs = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in inputs.items()]
    return tf.function(call, input_signature=specs, autograph=False)
