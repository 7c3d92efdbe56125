"""The variants that benchmark_training.py measures: the tutorials, caption_tx, and caption_tx with one change."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
import tutorial

from caption_tx.config import BackboneConfig, Config, CorpusConfig, ModelConfig, TextConfig, TrainingConfig
from caption_tx.data.batches import batching
from caption_tx.data.batches.rows import RowOptions, cached_rows
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.features.encoding import encode_images
from caption_tx.data.images.sources import open_images
from caption_tx.data.preparation import TrainingData, segment_corpus, tokenize_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.model import captioner as captioner_module
from caption_tx.model import layers
from caption_tx.model.captioner import Captioner
from caption_tx.model.settings import CaptionerSettings
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss, token_losses
from caption_tx.training.optimizer import FusedAdam
from caption_tx.training.training_model import TrainingModel, resolve_precision

CAPTION_FILES = {"zh": "flickr8kzhc.caption.txt", "en": "flickr8kenc.caption.txt"}
HELD_BATCHES = 48
"""Batches that stay in memory for the variants without an input pipeline."""


# --- What the variants change


class FusedLoss(MaskedLoss):
    """Cross-entropy with TensorFlow's fused kernel for loss and gradient, plus the smoothing term."""

    def call(self, labels: Any, logits: Any) -> Any:
        labels = tf.cast(labels, tf.int32)  # Keras casts them to the type of the logits
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        label_logits = tf.gather(logits, labels, batch_dims=2)
        return losses + self.label_smoothing * (label_logits - tf.reduce_mean(logits, axis=-1))


class PlainLoss(MaskedLoss):
    """Cross-entropy from its formula, with TensorFlow's automatic gradient."""

    def call(self, labels: Any, logits: Any) -> Any:
        labels = keras.ops.cast(labels, "int32")[..., None]
        label_logits = keras.ops.take_along_axis(logits, labels, axis=-1)[..., 0]
        losses = keras.ops.logsumexp(logits, axis=-1) - (1 - self.label_smoothing) * label_logits
        return losses - self.label_smoothing * keras.ops.mean(logits, axis=-1)


def plain_gelu(x: Any) -> Any:
    """Keras's GELU, with TensorFlow's automatic gradient."""
    return keras.ops.gelu(x, approximate=True)


class HiddenCaptioner(Captioner):
    """A Captioner without its output layer: its output is (B, T, D)."""

    def _logits(self, x: Any, training: bool | None) -> Any:
        return self.output_dropout(x, training=training)


class ChunkedModel(TrainingModel):
    """Computes logits and loss for 512 tokens at a time, and again for the gradient, to save memory."""

    def train_step(self, data: Any) -> Any:
        inputs, labels, weights = data
        output, tokens = self.captioner.token_output, self.captioner.embedding.tokens

        @tf.recompute_grad
        def chunk_loss(hidden: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            logits = tf.matmul(hidden, tokens.value, transpose_b=True) + (output.log_prior.value + output.bias.value)
            return tf.reduce_sum(token_losses(labels[None], logits[None], 0.1)[0] * weights)

        with tf.GradientTape() as tape:
            hidden = self(inputs, training=True)
            hidden = tf.reshape(hidden, (-1, hidden.shape[-1]))
            labels, weights = tf.reshape(labels, (-1,)), tf.reshape(weights, (-1,))
            chunks = [slice(start, start + 512) for start in range(0, 4096, 512)]
            total = tf.add_n([chunk_loss(hidden[chunk], labels[chunk], weights[chunk]) for chunk in chunks])
            loss = total / tf.reduce_sum(weights)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


def unpack_rows(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Packed batches as batches with one caption per row, with the features repeated for each caption."""

    def unpack(inputs: dict[str, tf.Tensor], labels: tf.Tensor, weights: tf.Tensor) -> tuple:
        segment_ids = inputs["segment_ids"]
        rows, segments = tf.meshgrid(
            tf.range(tf.shape(labels)[0]), tf.range(1, tf.reduce_max(segment_ids) + 1), indexing="ij"
        )
        rows, segments = tf.reshape(rows, [-1]), tf.reshape(segments, [-1])
        mask = tf.gather(segment_ids, rows) == segments[:, None]  # (captions, T)

        def select(values: tf.Tensor) -> tf.Tensor:
            return tf.ragged.boolean_mask(tf.gather(values, rows), mask).to_tensor()

        tokens = {name: select(inputs[name]) for name in ("token_ids", "positions", "segment_ids")}
        return {"features": tf.gather(inputs["features"], rows)} | tokens, select(labels), select(weights)

    return dataset.map(unpack, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


# --- Variants


@dataclass
class Variant:
    """A compiled model and its endless batches.

    Attributes:
        captions: captions per batch.
        tokens: mean number of tokens per caption that are not padding.
        steps: steps per round.
    """

    name: str
    model: keras.Model
    batches: tf.data.Dataset
    captions: float
    tokens: float
    steps: int = 40

    @property
    def precision(self) -> str:
        """The number format of the decoder's matrix products."""
        return self.model.captioner.compute_dtype if isinstance(self.model, TrainingModel) else "float32"

    def measure(self, steps: int | None = None) -> float:
        """Seconds per step in one round; the first steps, which fill buffers, do not count."""
        warmup, steps = 8, steps or self.steps  # steps_per_execution divides the warm-up
        clock = Clock(warmup)
        self.model.fit(self.batches, steps_per_epoch=warmup + steps, verbose=0, callbacks=[clock], shuffle=False)
        return clock.seconds / steps


class Clock(keras.callbacks.Callback):
    """Measures the seconds from the end of the warm-up to the end of the last step."""

    def __init__(self, warmup: int) -> None:
        super().__init__()
        self.warmup, self.seconds = warmup, 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch + 1 == self.warmup:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - getattr(self, "start", time.perf_counter())


class Setup:
    """The corpus, the features and the model sizes of all variants."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        source = CorpusConfig(sources=(str(arguments.data / CAPTION_FILES[arguments.language]),))
        config = Config(source, TextConfig(language=arguments.language))
        words = segment_corpus(read_corpus(source.sources), Segmenter(config.text), {})
        self.prepared: TrainingData = tokenize_corpus(config, words, lambda text: None)
        self.packed = packed = self.prepared.train[1]
        self.batch_size = TrainingConfig().batch_size
        self.model = replace(ModelConfig(), num_layers=arguments.layers)
        self.vocabulary_size = self.prepared.tokenizer.vocabulary_size
        self.images: Path = arguments.data / "images"
        self.stored: Path = arguments.workdir / f"per-caption-{arguments.language}"
        self.backbone = Backbone(BackboneConfig(weights=arguments.backbone_weights))
        self.cache: FeatureCache = encode_images(
            packed.images, open_images(str(self.images)), str(arguments.workdir / "features"), self.backbone
        )
        self.captions_per_image = len(packed.tokens) / len(packed.images)
        self.captions = self.batch_size * self.captions_per_image  # per batch
        self.tokens = (len(packed.tokens.values) - len(packed.tokens)) / len(packed.tokens)  # per caption

    def batches(self, window: int = batching.WINDOW_BATCHES) -> tf.data.Dataset:
        """Packed batches; with a window of 1 there is no bucketing."""
        with mock.patch.object(batching, "WINDOW_BATCHES", window):
            rows = cached_rows(self.cache, self.packed, RowOptions(0))
            return batching.packed_batches(rows, self.packed, self.batch_size, (0, 1), 0)

    def captioner(self, precision: str = "auto", kind: type = Captioner) -> Captioner:
        """A new Captioner, always with the same initial weights."""
        keras.utils.set_random_seed(0)
        settings = CaptionerSettings(self.vocabulary_size, self.cache.feature_shape, **asdict(self.model))
        captioner = kind(settings, dtype=resolve_precision() if precision == "auto" else precision)
        captioner.token_output.adapt(self.prepared.label_counts)
        return captioner

    def variant(self, name: str, model: keras.Model, batches: tf.data.Dataset, **options: Any) -> Variant:
        """A variant with the captions and tokens of a packed batch unless `options` say otherwise."""
        values = {"captions": self.captions, "tokens": self.tokens} | options
        return Variant(name, model, batches.repeat(), **values)


def compiled(model: keras.Model, loss: Any = None, optimizer: Any = FusedAdam, **options: Any) -> keras.Model:
    """The model, compiled as in training."""
    model.compile(
        optimizer(5e-4, global_clipnorm=1.0),
        loss or MaskedLoss(0.1),
        **{"jit_compile": False, "weighted_metrics": [TokenLoss(), TokenAccuracy()]} | options,
    )
    return model


def make_variants(setup: Setup, chunks: int) -> list[Variant]:
    """The tutorials and caption_tx; with parallel chunks, also caption_tx with each change."""
    dataset = setup.batches()
    for _ in dataset:  # after one epoch the features stay in memory
        pass
    variants = tutorial_variants(setup)
    if chunks == 1:
        model = compiled(TrainingModel(setup.captioner()))
        return [*variants, setup.variant("caption_tx, operations divided", model, dataset)]
    return [*variants, *changed_variants(setup, dataset, chunks)]


def tutorial_variants(setup: Setup) -> list[Variant]:
    """The tutorials with and without feature cache, with and without XLA."""
    cached = tutorial.cached_dataset(setup.prepared, setup.cache, setup.stored)
    uncached = tutorial.uncached_dataset(setup.prepared, setup.images)
    variants = []
    for suffix, options in (("", {}), (", no XLA", {"jit_compile": False})):
        for name, batches, encoder, steps in (
            ("uncached", uncached, setup.backbone.network, 20),  # 32 images, decoded at once, are five steps
            ("cached", cached, None, 40),
        ):
            model = tutorial.TutorialDecoder(setup.vocabulary_size, setup.model, encoder)
            model.compile(
                keras.optimizers.Adam(1e-4), tutorial.masked_loss, metrics=[tutorial.masked_accuracy], **options
            )
            title = f"tutorial, {name}{suffix}"
            variants.append(setup.variant(title, model, batches, captions=tutorial.BATCH_SIZE, steps=steps))
    return variants


def changed_variants(setup: Setup, dataset: tf.data.Dataset, chunks: int) -> list[Variant]:
    """caption_tx, and caption_tx with one change at a time."""

    def model(captioner: Captioner | None = None) -> TrainingModel:
        return TrainingModel(captioner or setup.captioner(), parallel_chunks=chunks)

    held = dataset.take(HELD_BATCHES).cache()
    held_tokens = _count_tokens(held) / (HELD_BATCHES * setup.captions)
    chunked = ChunkedModel(setup.captioner("float32", HiddenCaptioner))
    changes = [
        ("caption_tx", compiled(model()), dataset),
        ("one chunk", compiled(TrainingModel(setup.captioner())), dataset),
        ("float32", compiled(model(setup.captioner("float32"))), dataset),
        ("float32, one chunk", compiled(TrainingModel(setup.captioner("float32"))), dataset),
        ("8 steps per execution", compiled(model(), steps_per_execution=8), dataset),
        ("without bucketing", compiled(model()), setup.batches(1)),
        ("without packing", compiled(model()), unpack_rows(dataset)),
        ("fused cross-entropy", compiled(model(), FusedLoss(0.1)), dataset),
        ("chunked cross-entropy, float32, one chunk", compiled(chunked, weighted_metrics=None), dataset),
        ("Keras's Adam", compiled(model(), optimizer=keras.optimizers.Adam), dataset),
    ]
    variants = [setup.variant(*change) for change in changes]
    variants.append(setup.variant("batches held in memory", compiled(model()), held, tokens=held_tokens))
    return [*variants, *patched_variants(setup, dataset, chunks), *fixed_length_variants(setup, held, chunks)]


def patched_variants(setup: Setup, dataset: tf.data.Dataset, chunks: int) -> list[Variant]:
    """caption_tx with Keras's own layers in place of its fused ones."""
    with mock.patch.multiple(
        layers, gelu=plain_gelu, Dense=keras.layers.Dense, LayerNormalization=keras.layers.LayerNormalization
    ):
        model = TrainingModel(setup.captioner(), parallel_chunks=chunks)
        automatic = setup.variant("automatic gradients", compiled(model, PlainLoss(0.1)), dataset)
        automatic.measure(8)  # traces the model while the layers are patched
    plain = keras.layers.Dropout
    with mock.patch.object(layers, "Dropout", plain), mock.patch.object(captioner_module, "Dropout", plain):
        model = TrainingModel(setup.captioner(), parallel_chunks=chunks)
        return [automatic, setup.variant("Keras's dropout", compiled(model), dataset)]


def fixed_length_variants(setup: Setup, held: tf.data.Dataset, chunks: int) -> list[Variant]:
    """With and without XLA, on batches of the most common length: XLA takes ten seconds to compile for each shape."""
    length = Counter(inputs["segment_ids"].shape[1] for inputs, _, _ in held).most_common(1)[0][0]
    same = held.filter(lambda inputs, *_: tf.shape(inputs["segment_ids"])[1] == length).cache()
    tokens = _count_tokens(same) / (sum(1 for _ in same) * setup.captions)

    def fix(values: tf.Tensor) -> tf.Tensor:
        shape = [setup.batch_size, length] if values.shape.rank == 2 else [setup.batch_size, *values.shape[1:]]
        return tf.ensure_shape(values, shape)

    fixed = same.map(
        lambda inputs, labels, weights: (
            {name: fix(value) for name, value in inputs.items()},
            fix(labels),
            fix(weights),
        )
    )
    return [
        setup.variant(
            name,
            compiled(TrainingModel(setup.captioner(), parallel_chunks=chunks), jit_compile=jit),
            fixed,
            tokens=tokens,
            steps=16,
        )
        for name, jit in (("one length, without XLA", False), ("one length, XLA", True))
    ]


def _count_tokens(dataset: tf.data.Dataset) -> int:
    """Tokens in packed batches that are not padding."""
    return sum(int(tf.math.count_nonzero(inputs["segment_ids"])) for inputs, _, _ in dataset)
