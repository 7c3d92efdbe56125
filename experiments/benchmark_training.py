"""Speed of training against the tutorials' ways, each lever by itself, and what share of the machine it uses.

COMMAND
    python experiments/benchmark_training.py --data DIR --language zh --workdir DIR [--backbone-weights FILE]

DIR (data) holds `flickr8kzhc.caption.txt` or `flickr8kenc.caption.txt`, the split lists and `images/`. All
variants have the same sizes (layers, 256 wide, 4 heads, feed-forward 1,024) and vocabulary, train on the same
captions through Keras `fit`, and take turns, `--rounds` times; what is printed is the median of the rounds.
They run in two processes, of which one waits while the other measures: one with TensorFlow's threads as they are,
each operation divided among the cores, and one with the cores shared (`caption_tx.threads`), for lanes. The tutorials'
ways run in both, and the better of the two is printed. What is not said otherwise has the defaults, so as many lanes
as there are cores, and bfloat16 where the processor multiplies it.
A token counts that is not padding. "Share" is the arithmetic that those tokens and images need, forward and
backward, over the time, as a share of the machine's own peak for matrix products of 2,048 in the same precision,
measured in the same run; the MobileNet's arithmetic does not count. The tutorials' ways are written as in
TensorFlow's image captioning tutorial: one row a caption, padded to the batch's longest, 32 captions a step.

    uncached   pictures decoded, repeated once a caption, MobileNet in every step
    cached     features computed before, stored in float32 once a caption

RESULT, 2 cores (AMD EPYC with AVX-512 BF16) without GPU, TensorFlow 2.21, Keras 3.15, 3 rounds, 9 minutes in
Chinese and 11 in English

Chinese, vocabulary 1,722, 2 layers; peak of matrix products 452 GFLOP/s in float32, 919 in bfloat16
                                         ms/step  captions/s  tokens/s  share of peak  of caption_tx
tutorial, uncached                           215         149       885           3.6%           0.04
tutorial, cached                              46         703     4,183          16.9%           0.21
tutorial, uncached, no XLA                   201         159       945           3.8%           0.05
tutorial, cached, no XLA                      45         713     4,242          17.1%           0.21
caption_tx                                    48       3,325    19,794          39.3%           1.00
batches held in memory                        45       3,526    20,745          41.3%           1.05
one lane                                      55       2,885    17,173          34.1%           0.87
float32                                       67       2,405    14,314          57.8%           0.72
float32, one lane                             78       2,057    12,247          49.5%           0.62
gradients not written out                     54       2,971    17,684          35.1%           0.89
8 steps an execution                          46       3,506    20,870          41.5%           1.05
without bucketing                             57       2,803    16,682          33.1%           0.84
without packing                              100       1,600     9,523          18.9%           0.48
fused cross-entropy                           51       3,166    18,845          37.3%           0.95
chunked cross-entropy, float32, one lane      79       2,034    12,109          48.9%           0.61
Keras's Adam                                  49       3,271    19,474          38.7%           0.98
Keras's dropout                               54       2,983    17,754          35.3%           0.90
one length, without XLA                       43       3,748    21,405          42.9%           1.08
one length, XLA                              138       1,156     6,600          13.2%           0.33
caption_tx, operations divided                62       2,583    15,373          30.5%           0.78

English, vocabulary 2,917, 2 layers; peak of matrix products 458 GFLOP/s in float32, 934 in bfloat16
                                         ms/step  captions/s  tokens/s  share of peak  of caption_tx
tutorial, uncached                           237         135     1,593           6.2%           0.08
tutorial, cached                              75         426     5,035          19.8%           0.24
tutorial, uncached, no XLA                   229         140     1,652           6.5%           0.08
tutorial, cached, no XLA                      76         423     4,997          19.6%           0.24
caption_tx                                    92       1,746    20,634          39.7%           1.00
batches held in memory                        84       1,911    22,231          42.9%           1.08
one lane                                     113       1,411    16,668          32.1%           0.81
float32                                      117       1,362    16,092          63.1%           0.78
float32, one lane                            151       1,058    12,501          49.1%           0.61
gradients not written out                    110       1,453    17,163          33.0%           0.83
8 steps an execution                          88       1,815    21,443          41.2%           1.04
without bucketing                            119       1,347    15,913          30.6%           0.77
without packing                              180         887    10,481          20.2%           0.51
fused cross-entropy                          104       1,538    18,172          35.0%           0.88
chunked cross-entropy, float32, one lane     164         973    11,501          45.1%           0.56
Keras's Adam                                  90       1,772    20,938          40.3%           1.01
Keras's dropout                              102       1,571    18,562          35.7%           0.90
one length, without XLA                       94       1,708    21,908          41.7%           1.06
one length, XLA                              285         561     7,195          13.7%           0.35
caption_tx, operations divided               113       1,410    16,661          32.1%           0.81

Again after the input pipeline was left without tf.data's tuning, with the tutorial's own uncached pipeline (above, it
decoded side by side and ahead), `--only "cached,batches held"`, 3 rounds; peaks 495 and 486 GFLOP/s in float32, 939
and 906 in bfloat16

                                         ms/step  captions/s  tokens/s  share of peak  of caption_tx
Chinese
tutorial, uncached                           197         163       969           3.6%           0.05
tutorial, cached                              45         711     4,234          15.6%           0.20
tutorial, uncached, no XLA                   194         165       982           3.6%           0.05
tutorial, cached, no XLA                      45         715     4,257          15.7%           0.20
caption_tx                                    46       3,496    20,810          40.5%           1.00
batches held in memory                        45       3,589    21,116          41.2%           1.01
caption_tx, operations divided                55       2,932    17,453          34.0%           0.84
English
tutorial, uncached                           222         144     1,701           6.3%           0.07
tutorial, cached                              71         450     5,314          19.7%           0.23
tutorial, uncached, no XLA                   219         146     1,728           6.4%           0.07
tutorial, cached, no XLA                      69         466     5,506          20.4%           0.24
caption_tx                                    82       1,954    23,092          45.8%           1.00
batches held in memory                        82       1,956    22,745          45.2%           0.98
caption_tx, operations divided               104       1,538    18,174          36.0%           0.79

Against the tutorials' ways that is 21.2 and 4.9 times in Chinese and 13.4 and 4.2 in English; in float32 (first
tables) 15.1 and 3.4, 9.7 and 3.2. Twenty times the uncached way in English would be 2,920 captions/s, 68% of the peak
in bfloat16: with the products as they are, all else that a step does would have to take a third of its time.

So the defaults: packing and bucketing are what matters most. Lanes are worth a fifth, bfloat16 a quarter to two fifths,
gradients written out and dropout from 8 bits a tenth to a fifth each; operations side by side, one core each, win a
quarter over operations divided. XLA is slow at bfloat16, several steps an execution win less than rounds differ, and
the fused or chunked cross-entropy loses: they are off. A batch costs the input pipeline 1.9 ms of one core (Chinese),
2% of what the two have in a step, and batches that lie in memory are 2% slower to 1% faster.

What the rest is (TensorFlow's profiler; a step in bfloat16 in Chinese on one core, 78 ms in all): matrix products
58%, attention's small products, transposes and softmax 8%, dropout 8%, GELU, layer normalization and loss together
12%, conversions between precisions 4%, Adam and clipping 3%, the rest 7%. The products of a step are a third slower on
two cores than those of 2,048 where each is divided, which is what lanes are for.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

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
from caption_tx.threads import configure_threads
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss, token_losses
from caption_tx.training.optimizer import FusedAdam
from caption_tx.training.training_model import TrainingModel, resolve_precision

CAPTIONS = {"zh": "flickr8kzhc.caption.txt", "en": "flickr8kenc.caption.txt"}
TUTORIAL_BATCH = 32
"""Captions a step in the tutorial."""
STORED_IMAGES = 512
"""Images whose float32 features the tutorial's cached way stores here: 200 KB a caption."""


class TutorialDecoder(keras.Model):
    """The tutorial's decoder, of Keras's own layers, at our sizes; one caption a row."""

    def __init__(self, vocabulary_size: int, config: ModelConfig, backbone: keras.Model | None) -> None:
        super().__init__()
        width, dropout = config.hidden_dim, config.dropout
        self.backbone = backbone
        self.project = keras.layers.Dense(width)
        self.tokens = keras.layers.Embedding(vocabulary_size, width)
        self.positions = keras.layers.Embedding(config.max_length, width)
        self.blocks = [
            {
                "self": keras.layers.MultiHeadAttention(config.num_heads, width // config.num_heads, dropout=0.1),
                "cross": keras.layers.MultiHeadAttention(config.num_heads, width // config.num_heads, dropout=0.1),
                "feed": keras.Sequential(
                    [
                        keras.layers.Dense(config.intermediate_dim, activation="relu"),
                        keras.layers.Dense(width),
                        keras.layers.Dropout(dropout),
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

    def call(self, inputs: tuple, training: bool | None = None) -> Any:
        images, tokens = inputs
        if self.backbone is not None:
            images = self.backbone(tf.cast(images, tf.float32) / 127.5 - 1, training=False)
        cells = tf.reshape(images, (tf.shape(images)[0], -1, images.shape[-1]))
        memory = self.project(cells)
        x = self.tokens(tokens) + self.positions(tf.range(tf.shape(tokens)[1]))
        for block in self.blocks:
            x = block["norms"][0](x + block["self"](x, x, use_causal_mask=True, training=training))
            x = block["norms"][1](x + block["cross"](x, memory, training=training))
            x = block["norms"][2](x + block["feed"](x, training=training))
        return self.out(x)


def tutorial_loss(labels: Any, logits: Any) -> Any:
    """Mean over the labels that are not padding."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)
    mask = tf.cast(labels != 0, losses.dtype)
    return tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)


def tutorial_accuracy(labels: Any, logits: Any) -> Any:
    """Share of the labels that are not padding that were found likeliest."""
    mask = tf.cast(labels != 0, tf.float32)
    hits = tf.cast(tf.argmax(logits, -1, labels.dtype) == labels, tf.float32)
    return tf.reduce_sum(hits * mask) / tf.reduce_sum(mask)


def caption_tokens(prepared: TrainingData) -> list[tuple[str, list[np.ndarray]]]:
    """Each training image with its captions' token_ids."""
    packed = prepared.train[1]
    splits, rows = packed.caption_splits, packed.tokens.row_splits
    return [
        (name, [packed.tokens.values[rows[c] : rows[c + 1]] for c in range(splits[i], splits[i + 1])])
        for i, name in enumerate(packed.images)
    ]


def inputs_and_labels(image: tf.Tensor, tokens: Any) -> tuple:
    """An image, or many, and token_ids, to what the model reads of them and what it must say."""
    return (image, tokens[..., :-1]), tokens[..., 1:]


def uncached(prepared: TrainingData, images: Path) -> tf.data.Dataset:
    """Pictures decoded and resized in the batches, each repeated for its captions, and shuffled with them.

    The tutorial asks neither for pictures decoded side by side nor ahead of the model; asked to, it was as fast (1%).
    Captions are tokenized already, which the tutorial does here.
    """
    pairs = caption_tokens(prepared)
    each = tf.ragged.constant([caption.tolist() for _, captions in pairs for caption in captions], tf.int32)
    numbers = tf.RaggedTensor.from_row_lengths(
        tf.range(each.nrows(), dtype=tf.int64), [len(captions) for _, captions in pairs]
    )
    paths = tf.constant([str(images / name) for name, _ in pairs])

    def load(path: tf.Tensor, captions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(picture, (224, 224)), captions

    def repeat(pictures: tf.Tensor, captions: tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.repeat(pictures, captions.row_lengths(), axis=0), captions.flat_values

    def look_up(pictures: tf.Tensor, captions: tf.Tensor) -> tuple:
        return inputs_and_labels(pictures, tf.gather(each, captions))

    def pad(inputs: tuple[tf.Tensor, tf.RaggedTensor], labels: tf.RaggedTensor) -> tuple:
        return (inputs[0], inputs[1].to_tensor()), labels.to_tensor()

    dataset = tf.data.Dataset.from_tensor_slices((paths, numbers)).shuffle(len(pairs))
    dataset = dataset.map(load).ignore_errors().ragged_batch(TUTORIAL_BATCH)
    dataset = dataset.map(repeat, tf.data.AUTOTUNE).unbatch().shuffle(1000).batch(TUTORIAL_BATCH)
    return dataset.map(look_up, tf.data.AUTOTUNE).map(pad, tf.data.AUTOTUNE)


def store_per_caption(prepared: TrainingData, cache: FeatureCache, folder: Path) -> tf.data.Dataset:
    """Writes float32 features once a caption, and reads them as the tutorial does."""
    names = [name for name, _ in caption_tokens(prepared)][:STORED_IMAGES]
    if not folder.exists():
        stored = cache.load(names)
        captions = dict(caption_tokens(prepared))

        def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for name, features in zip(names, stored, strict=True):
                for tokens in captions[name]:
                    yield np.asarray(features, np.float32), tokens

        signature = (tf.TensorSpec(cache.feature_shape, tf.float32), tf.TensorSpec((None,), tf.int32))
        written = tf.data.Dataset.from_generator(generate, output_signature=signature).shuffle(1000)
        numbered = written.enumerate()
        numbered.save(str(folder), shard_func=lambda number, _: number % 10)

    def read(shards: tf.data.Dataset) -> tf.data.Dataset:
        return shards.shuffle(1000).interleave(lambda shard: shard)

    dataset = tf.data.Dataset.load(str(folder), reader_func=read)
    pairs = dataset.map(lambda number, row: inputs_and_labels(*row), tf.data.AUTOTUNE)
    return pairs.shuffle(1000).padded_batch(TUTORIAL_BATCH).prefetch(tf.data.AUTOTUNE)


def unpack_rows(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Our batches with one caption a row, the image's features repeated for each."""

    def split(inputs: dict[str, tf.Tensor], labels: tf.Tensor, weights: tf.Tensor) -> tuple:
        segments = inputs["segment_ids"]
        rows, number = tf.meshgrid(
            tf.range(tf.shape(labels)[0]), tf.range(1, tf.reduce_max(segments) + 1), indexing="ij"
        )
        rows, number = tf.reshape(rows, [-1]), tf.reshape(number, [-1])
        mask = tf.gather(segments, rows) == number[:, None]  # (captions, T)

        def cut(values: tf.Tensor) -> tf.Tensor:
            return tf.ragged.boolean_mask(tf.gather(values, rows), mask).to_tensor()

        tokens = {name: cut(inputs[name]) for name in ("token_ids", "positions", "segment_ids")}
        return {"features": tf.gather(inputs["features"], rows)} | tokens, cut(labels), cut(weights)

    return dataset.map(split, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class FusedLoss(MaskedLoss):
    """Cross-entropy through TensorFlow's kernel for loss and gradient in one, smoothing beside it."""

    def call(self, labels: Any, logits: Any) -> Any:
        labels = tf.cast(labels, tf.int32)  # Keras makes them of the logits' type
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        chosen = tf.gather(logits, labels, batch_dims=2)
        return losses + self.label_smoothing * (chosen - tf.reduce_mean(logits, axis=-1))


class PlainLoss(MaskedLoss):
    """Cross-entropy as its formula has it, its gradient left to TensorFlow."""

    def call(self, labels: Any, logits: Any) -> Any:
        chosen = keras.ops.take_along_axis(logits, keras.ops.cast(labels, "int32")[..., None], axis=-1)[..., 0]
        known = keras.ops.logsumexp(logits, axis=-1) - (1 - self.label_smoothing) * chosen
        return known - self.label_smoothing * keras.ops.mean(logits, axis=-1)


def plain_gelu(x: Any) -> Any:
    """Keras's, its gradient left to TensorFlow."""
    return keras.ops.gelu(x, approximate=True)


class HiddenCaptioner(Captioner):
    """Ends before the output layer: (B, T, D)."""

    def _logits(self, x: Any, training: bool | None) -> Any:
        return self.output_dropout(x, training=training)


class ChunkedModel(TrainingModel):
    """Logits and loss of 512 tokens at a time, computed again for the gradient: less memory at once."""

    def train_step(self, data: Any) -> Any:
        inputs, labels, weights = data
        output, tokens = self.captioner.token_output, self.captioner.embedding.tokens

        @tf.recompute_grad
        def part(hidden: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            logits = tf.matmul(hidden, tokens.value, transpose_b=True) + (output.log_prior.value + output.bias.value)
            return tf.reduce_sum(token_losses(labels[None], logits[None], 0.1)[0] * weights)

        with tf.GradientTape() as tape:
            hidden = self(inputs, training=True)
            hidden = tf.reshape(hidden, (-1, hidden.shape[-1]))
            labels, weights = tf.reshape(labels, (-1,)), tf.reshape(weights, (-1,))
            chunks = [slice(begin, begin + 512) for begin in range(0, 4096, 512)]
            total = tf.add_n([part(hidden[chunk], labels[chunk], weights[chunk]) for chunk in chunks])
            loss = total / tf.reduce_sum(weights)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


@dataclass
class Variant:
    """A model and its endless batches of `captions` captions.

    `tokens` are those of a caption, on average, that are not padding.
    """

    name: str
    model: keras.Model
    batches: tf.data.Dataset
    captions: float
    tokens: float
    steps: int = 40

    @property
    def precision(self) -> str:
        """What the decoder's matrices are multiplied in."""
        return self.model.captioner.compute_dtype if isinstance(self.model, TrainingModel) else "float32"

    def measure(self, steps: int | None = None) -> float:
        """Seconds a step of one round: the first steps, in which buffers fill, do not count."""
        skipped, steps = 8, steps or self.steps  # steps_per_execution divides the skipped ones
        clock = Clock(skipped)
        self.model.fit(self.batches, steps_per_epoch=skipped + steps, verbose=0, callbacks=[clock], shuffle=False)
        return clock.seconds / steps


class Clock(keras.callbacks.Callback):
    """Seconds between the end of the step before the first that counts, and the last."""

    def __init__(self, skipped: int) -> None:
        super().__init__()
        self.skipped, self.seconds = skipped, 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch + 1 == self.skipped:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - getattr(self, "start", time.perf_counter())


def measure_peak(dtype: tf.DType, seconds: float = 2.0) -> float:
    """Best GFLOP/s of matrix products of 2,048."""
    matrix = tf.cast(tf.random.normal((2048, 2048)), dtype)
    weights = tf.Variable(matrix)
    multiply = tf.function(lambda: tf.matmul(matrix, weights))
    multiply()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        best = max(best, 2 * 2048**3 / (time.perf_counter() - start) / 1e9)
    return best


def useful_gflop(captions: float, tokens: float, vocabulary_size: int, model: ModelConfig, per_image: float) -> float:
    """Arithmetic that training on so many captions needs, forward and backward.

    A multiplication and an addition each count; backward costs twice forward, except that nothing needs the
    gradient of the features. Keys and values of the memory are needed once an image, of `per_image` captions.
    """
    cells, channels, width = 49, 1024, model.hidden_dim
    layer = 2 * width * (3 * width + width + width + width) + 4 * width * model.intermediate_dim + 4 * cells * width
    token = model.num_layers * layer + 2 * width * vocabulary_size
    image = cells * model.num_layers * 4 * width * width
    project = cells * 2 * channels * width
    images = captions / per_image
    return (3 * (captions * tokens * token + images * image) + 2 * images * project) / 1e9


def make_variants(arguments: argparse.Namespace, parts: int) -> tuple[list[Variant], TrainingData, ModelConfig]:
    """The tutorials' ways, then ours in `parts` lanes; with more than one lane also each lever."""
    source = CorpusConfig(sources=(str(arguments.data / CAPTIONS[arguments.language]),))
    config = Config(source, TextConfig(language=arguments.language))
    words = segment_corpus(read_corpus(source.sources), Segmenter(config.text), {})
    prepared = tokenize_corpus(config, words, lambda text: None)
    packed, batch_size = prepared.train[1], TrainingConfig().batch_size
    sizes = replace(ModelConfig(), num_layers=arguments.layers)
    vocabulary_size = prepared.tokenizer.vocabulary_size
    images, folder = open_images(str(arguments.data / "images")), arguments.workdir / "features"
    backbone = Backbone(BackboneConfig(weights=arguments.backbone_weights))
    cache = encode_images(packed.images, images, str(folder), backbone)
    per_image = len(packed.tokens) / len(packed.images)
    tokens = (len(packed.tokens.values) - len(packed.tokens)) / len(packed.tokens)
    full = batch_size * per_image

    def ours(window: int = batching.WINDOW_BATCHES) -> tf.data.Dataset:
        with mock.patch.object(batching, "WINDOW_BATCHES", window):
            rows = cached_rows(cache, packed, RowOptions(0))
            return batching.packed_batches(rows, packed, batch_size, (0, 1), 0)

    def captioner(precision: str = "auto", kind: type = Captioner) -> Captioner:
        keras.utils.set_random_seed(0)
        settings = asdict(sizes) | {"vocabulary_size": vocabulary_size, "feature_shape": cache.feature_shape}
        made = kind(**settings, dtype=resolve_precision() if precision == "auto" else precision)
        made.token_output.adapt(prepared.label_counts)
        return made

    def compiled(model: keras.Model, loss: Any = None, optimizer: Any = FusedAdam, **options: Any) -> keras.Model:
        model.compile(
            optimizer(5e-4, global_clipnorm=1.0),
            loss or MaskedLoss(0.1),
            **{"jit_compile": False, "weighted_metrics": [TokenLoss(), TokenAccuracy()]} | options,
        )
        return model

    def add(name: str, model: keras.Model, batches: tf.data.Dataset, **options: Any) -> None:
        variants.append(Variant(name, model, batches.repeat(), options.pop("captions", full), tokens, **options))

    def tutorial(encoder: keras.Model | None, **options: Any) -> keras.Model:
        model = TutorialDecoder(vocabulary_size, sizes, encoder)
        model.compile(keras.optimizers.Adam(1e-4), tutorial_loss, metrics=[tutorial_accuracy], **options)
        return model

    variants: list[Variant] = []
    dataset = ours()
    for _ in dataset:  # an epoch, after which the features stay in memory
        pass
    stored = store_per_caption(prepared, cache, arguments.workdir / f"per-caption-{arguments.language}")
    pictures = uncached(prepared, arguments.data / "images")
    ways = (
        ("uncached", pictures, backbone.network, 20),  # 32 pictures, decoded at once, are five steps
        ("cached", stored, None, 40),
    )
    for without, options in (("", {}), (", no XLA", {"jit_compile": False})):
        for way, batches, encoder, steps in ways:
            model = tutorial(encoder, **options)
            add(f"tutorial, {way}{without}", model, batches, captions=TUTORIAL_BATCH, steps=steps)
    if parts == 1:
        add("caption_tx, operations divided", compiled(TrainingModel(captioner())), dataset)
        return variants, prepared, sizes

    def ours_of(made: Captioner | None = None) -> TrainingModel:
        return TrainingModel(made or captioner(), parallel_chunks=parts)

    add("caption_tx", compiled(ours_of()), dataset)
    held = dataset.take(48).cache()
    add("batches held in memory", compiled(ours_of()), held)
    variants[-1].tokens = sum(int(tf.math.count_nonzero(x["segment_ids"])) for x, _, _ in held) / (48 * full)
    add("one lane", compiled(TrainingModel(captioner())), dataset)
    add("float32", compiled(ours_of(captioner("float32"))), dataset)
    add("float32, one lane", compiled(TrainingModel(captioner("float32"))), dataset)
    with mock.patch.multiple(
        layers, gelu=plain_gelu, Dense=keras.layers.Dense, LayerNormalization=keras.layers.LayerNormalization
    ):
        plain = ours_of()
        add("gradients not written out", compiled(plain, PlainLoss(0.1)), dataset)
        variants[-1].measure(8)  # what is patched is looked up here
    add("8 steps an execution", compiled(ours_of(), steps_per_execution=8), dataset)
    add("without bucketing", compiled(ours_of()), ours(1))
    add("without packing", compiled(ours_of()), unpack_rows(dataset))
    add("fused cross-entropy", compiled(ours_of(), FusedLoss(0.1)), dataset)
    chunked = ChunkedModel(captioner("float32", HiddenCaptioner))
    add("chunked cross-entropy, float32, one lane", compiled(chunked, weighted_metrics=None), dataset)
    add("Keras's Adam", compiled(ours_of(), optimizer=keras.optimizers.Adam), dataset)
    ordinary = keras.layers.Dropout
    with mock.patch.object(layers, "Dropout", ordinary), mock.patch.object(captioner_module, "Dropout", ordinary):
        add("Keras's dropout", compiled(ours_of()), dataset)
    # XLA compiles for each shape by itself, some ten seconds: one length for both.
    common = Counter(x["segment_ids"].shape[1] for x, _, _ in held).most_common(1)[0][0]
    same = held.filter(lambda x, *_: tf.shape(x["segment_ids"])[1] == common).cache()
    number = sum(1 for _ in same)
    length = sum(int(tf.math.count_nonzero(x["segment_ids"])) for x, _, _ in same) / (number * full)
    shape = tf.TensorShape([batch_size, common])
    fixed = same.map(lambda x, y, w: _with_shape(x, y, w, shape))
    for name, jit in (("one length, without XLA", False), ("one length, XLA", True)):
        add(name, compiled(ours_of(), jit_compile=jit), fixed, steps=16)
        variants[-1].tokens = length
    return variants, prepared, sizes


def _with_shape(inputs: dict[str, tf.Tensor], labels: tf.Tensor, weights: tf.Tensor, shape: tf.TensorShape) -> tuple:
    def fix(values: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(values, shape if values.shape.rank == 2 else [shape[0], *values.shape[1:]])

    return {name: fix(values) for name, values in inputs.items()}, fix(labels), fix(weights)


def serve(arguments: argparse.Namespace, shared: bool, pipe: Connection) -> None:
    """A process with TensorFlow's threads as they are, or shared: measures what it is asked for by name."""
    variants, prepared, sizes = make_variants(arguments, configure_threads() if shared else 1)
    packed = prepared.train[1]
    pipe.send(
        (
            {one.name: (one.captions, one.tokens, one.precision) for one in variants},
            prepared.tokenizer.vocabulary_size,
            sizes,
            len(packed.tokens) / len(packed.images),
        )
    )
    named: dict[str, Callable[[], float]] = {one.name: one.measure for one in variants}
    if not shared:
        named |= {"float32": lambda: measure_peak(tf.float32), "bfloat16": lambda: measure_peak(tf.bfloat16)}
    while (name := pipe.recv()) is not None:
        pipe.send(named[name]())


class Process:
    """A process that measures; `variants` has captions a step, tokens a caption and the precision, by name."""

    def __init__(self, arguments: argparse.Namespace, shared: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(arguments, shared, other), daemon=True)
        self._process.start()
        other.close()
        self.variants, self.vocabulary_size, self.sizes, self.per_image = self._pipe.recv()

    def measure(self, name: str) -> float:
        self._pipe.send(name)
        return self._pipe.recv()

    def end(self) -> None:
        self._pipe.send(None)
        self._process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--language", choices=sorted(CAPTIONS), default="zh")
    parser.add_argument("--workdir", type=Path, required=True, help="features go here, 2 GB of them once a caption")
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--layers", type=int, default=2, help="as in the tutorial (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="parts of names, between commas: only these variants, beside `caption_tx`")
    arguments = parser.parse_args()
    divided = Process(arguments, False)  # one after the other: the first writes the features
    shared = Process(arguments, True)
    # What both have is the tutorials': they get the threads that suit them better.
    asked = [(shared, name) for name in shared.variants] + [(divided, name) for name in divided.variants]
    if arguments.only:
        parts = ["caption_tx", *arguments.only.split(",")]
        asked = [(process, name) for process, name in asked if any(part in name for part in parts)]
    peaks: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    seconds: dict[tuple[Process, str], list[float]] = {one: [] for one in asked}
    for _ in range(arguments.rounds):
        for name, found in peaks.items():
            found.append(divided.measure(name))
        for (process, name), found in seconds.items():
            found.append(process.measure(name))
    divided.end()
    shared.end()
    best: dict[str, float] = {}
    for (_, name), found in seconds.items():
        best[name] = min(best.get(name, float("inf")), float(np.median(found)))
    print(
        f"{arguments.language}: vocabulary {shared.vocabulary_size}, {shared.sizes.num_layers} layers; peak of matrix"
    )
    print(f"products {max(peaks['float32']):.0f} GFLOP/s in float32, {max(peaks['bfloat16']):.0f} in bfloat16")
    print(f"{'':41}ms/step  captions/s  tokens/s  share of peak  of caption_tx")
    facts = divided.variants | shared.variants
    rates = {name: facts[name][0] / found for name, found in best.items()}
    default = rates["caption_tx"] * facts["caption_tx"][1]
    for name, rate in rates.items():
        _, tokens, precision = facts[name]
        work = useful_gflop(rate, tokens, shared.vocabulary_size, shared.sizes, shared.per_image)
        print(
            f"{name:41}{1e3 * best[name]:7.0f}{rate:12,.0f}{rate * tokens:10,.0f}"
            f"{work / max(peaks[precision]):15.1%}{rate * tokens / default:15.2f}"
        )


if __name__ == "__main__":
    main()
