"""The image captioner of the common TensorFlow tutorials, at the sizes of caption_tx, for benchmark_training.py.

As in TensorFlow's image captioning tutorial, a row is one caption, padded to the longest of its batch of 32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from caption_tx.config import ModelConfig
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.preparation import TrainingData

BATCH_SIZE = 32
"""Captions per step."""

STORED_IMAGES = 512
"""Images whose float32 features `cached_dataset` stores, 200 KB per caption."""


class TutorialDecoder(keras.Model):
    """The tutorial's decoder of Keras layers; with a `backbone` it also encodes the images."""

    def __init__(self, vocabulary_size: int, config: ModelConfig, backbone: keras.Model | None) -> None:
        super().__init__()
        hidden_dim, head_dim = config.hidden_dim, config.hidden_dim // config.num_heads
        self.backbone = backbone
        self.project = keras.layers.Dense(hidden_dim)
        self.tokens = keras.layers.Embedding(vocabulary_size, hidden_dim)
        self.positions = keras.layers.Embedding(config.max_length, hidden_dim)
        self.blocks = [
            {
                "self": keras.layers.MultiHeadAttention(config.num_heads, head_dim, dropout=0.1),
                "cross": keras.layers.MultiHeadAttention(config.num_heads, head_dim, dropout=0.1),
                "feed": keras.Sequential(
                    [
                        keras.layers.Dense(config.intermediate_dim, activation="relu"),
                        keras.layers.Dense(hidden_dim),
                        keras.layers.Dropout(config.dropout),
                    ]
                ),
                "norms": [keras.layers.LayerNormalization() for _ in range(3)],
            }
            for _ in range(config.num_layers)
        ]
        self.tracked = [[*block["norms"], block["self"], block["cross"], block["feed"]] for block in self.blocks]
        self.out = keras.layers.Dense(vocabulary_size)

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def call(self, inputs: tuple[Any, Any], training: bool | None = None) -> Any:
        """(images or features, token_ids (B, T)) -> logits (B, T, V)."""
        images, token_ids = inputs
        if self.backbone is not None:
            images = self.backbone(tf.cast(images, tf.float32) / 127.5 - 1, training=False)
        cells = tf.reshape(images, (tf.shape(images)[0], -1, images.shape[-1]))  # (B, S, C)
        memory = self.project(cells)
        x = self.tokens(token_ids) + self.positions(tf.range(tf.shape(token_ids)[1]))
        for block in self.blocks:
            x = block["norms"][0](x + block["self"](x, x, use_causal_mask=True, training=training))
            x = block["norms"][1](x + block["cross"](x, memory, training=training))
            x = block["norms"][2](x + block["feed"](x, training=training))
        return self.out(x)


def masked_loss(labels: Any, logits: Any) -> Any:
    """Mean cross-entropy over the labels that are not padding."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)
    mask = tf.cast(labels != 0, losses.dtype)
    return tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)


def masked_accuracy(labels: Any, logits: Any) -> Any:
    """Share of the labels that are predicted correctly, without padding."""
    mask = tf.cast(labels != 0, tf.float32)
    is_correct = tf.cast(tf.argmax(logits, -1, labels.dtype) == labels, tf.float32)
    return tf.reduce_sum(is_correct * mask) / tf.reduce_sum(mask)


def caption_tokens(prepared: TrainingData) -> list[tuple[str, list[np.ndarray]]]:
    """Each training image with the token_ids of its captions."""
    packed = prepared.train[1]
    splits, rows = packed.caption_splits, packed.tokens.row_splits
    return [
        (name, [packed.tokens.values[rows[c] : rows[c + 1]] for c in range(splits[i], splits[i + 1])])
        for i, name in enumerate(packed.images)
    ]


def _inputs_and_labels(images: tf.Tensor, token_ids: Any) -> tuple:
    """Images and token_ids -> the inputs and labels of a training step."""
    return (images, token_ids[..., :-1]), token_ids[..., 1:]


def uncached_dataset(prepared: TrainingData, images: Path) -> tf.data.Dataset:
    """Decodes and resizes every image, repeats it for its captions, and shuffles.

    Like the tutorial, it decodes one image at a time and does not prefetch; doing both was no faster (1%). Unlike in
    the tutorial, captions are already tokenized.
    """
    pairs = caption_tokens(prepared)
    captions = tf.ragged.constant([tokens.tolist() for _, texts in pairs for tokens in texts], tf.int32)
    indices = tf.RaggedTensor.from_row_lengths(
        tf.range(captions.nrows(), dtype=tf.int64), [len(texts) for _, texts in pairs]
    )
    paths = tf.constant([str(images / name) for name, _ in pairs])

    def load(path: tf.Tensor, own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (224, 224)), own

    def repeat(batch: tf.Tensor, own: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.repeat(batch, own.row_lengths(), axis=0), own.flat_values

    def look_up(batch: tf.Tensor, own: tf.Tensor) -> tuple:
        return _inputs_and_labels(batch, tf.gather(captions, own))

    def pad(inputs: tuple[tf.Tensor, tf.RaggedTensor], labels: tf.RaggedTensor) -> tuple:
        return (inputs[0], inputs[1].to_tensor()), labels.to_tensor()

    dataset = tf.data.Dataset.from_tensor_slices((paths, indices)).shuffle(len(pairs))
    dataset = dataset.map(load).ignore_errors().ragged_batch(BATCH_SIZE)
    dataset = dataset.map(repeat, tf.data.AUTOTUNE).unbatch().shuffle(1000).batch(BATCH_SIZE)
    return dataset.map(look_up, tf.data.AUTOTUNE).map(pad, tf.data.AUTOTUNE)


def cached_dataset(prepared: TrainingData, cache: FeatureCache, folder: Path) -> tf.data.Dataset:
    """Stores float32 features once per caption, if `folder` is missing, and reads them like the tutorial."""
    pairs = caption_tokens(prepared)[:STORED_IMAGES]
    if not folder.exists():
        stored = cache.load([name for name, _ in pairs])

        def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for (_, captions), features in zip(pairs, stored, strict=True):
                for tokens in captions:
                    yield np.asarray(features, np.float32), tokens

        signature = (tf.TensorSpec(cache.feature_shape, tf.float32), tf.TensorSpec((None,), tf.int32))
        rows = tf.data.Dataset.from_generator(generate, output_signature=signature).shuffle(1000).enumerate()
        rows.save(str(folder), shard_func=lambda index, _: index % 10)

    def read(shards: tf.data.Dataset) -> tf.data.Dataset:
        return shards.shuffle(1000).interleave(lambda shard: shard)

    dataset = tf.data.Dataset.load(str(folder), reader_func=read)
    dataset = dataset.map(lambda index, row: _inputs_and_labels(*row), tf.data.AUTOTUNE)
    return dataset.shuffle(1000).padded_batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
