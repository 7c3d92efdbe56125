"""What the recurrent baselines share: pooled features, one caption per row, training, beam search and scoring.

A baseline is a Keras model with three entry points. A call maps a batch of `CaptionRows` to logits. `begin(features)`
returns the state before the first word. `step(token_ids, state)` returns the logits of the next word and the new
state. A state is a list of tensors with one caption per row.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from flickr8k import CAPTION_FILES, make_log

from caption_tx.config import BackboneConfig, Config, CorpusConfig, TextConfig
from caption_tx.data.batches.packing import PackedCaptions
from caption_tx.data.corpus.table import captions_by_image, read_table
from caption_tx.data.features.backbone import Backbone, dequantize
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.features.corpus_features import encode_splits
from caption_tx.data.preparation import TRAINING_SPLITS, TrainingData, segment_corpus, tokenize_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.files import write_atomically
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss

BATCH_SIZE = 128
"""Captions per step."""

WINDOW_BATCHES = 16
"""Batches taken from one window of captions sorted by length, to reduce padding."""

LENGTH_PENALTY = 0.7
"""Captions are ranked by log-probability / length**LENGTH_PENALTY, as in caption_tx."""

MAX_LENGTH = 30
"""Maximum number of tokens in a caption, including the end token."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """A corpus for a recurrent captioner: packed captions, features (C,) of every image, and references."""

    prepared: TrainingData
    features: dict[str, np.ndarray]
    references: dict[str, list[str]]

    @property
    def channels(self) -> int:
        """C."""
        return len(next(iter(self.features.values())))

    @property
    def tokenizer(self) -> Tokenizer:
        return self.prepared.tokenizer


def pool_features(cache: FeatureCache, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The mean of each image's features over the grid, float32 (C,), by name."""
    requested, pooled = set(names), {}
    for shard_names in cache.shards.values():
        loaded = [name for name in shard_names if name in requested]
        if loaded:
            pooled |= zip(loaded, np.asarray(dequantize(cache.load(loaded))).mean(axis=(1, 2)), strict=True)
    return pooled


def load_data(config: Config, cache_folder: str, log: Log) -> Data:
    """Reads the corpus, encodes images that are not in the cache, and tokenizes like `caption-tx train`."""
    table = read_table(config.corpus, config.text.language)
    cache = encode_splits(config, cache_folder, Backbone(config.backbone), table, TRAINING_SPLITS, log)
    words = segment_corpus(table, Segmenter(config.text), cache.failed)
    prepared = tokenize_corpus(config, words, log)
    references = captions_by_image(table, "val", "human")
    features = pool_features(cache, list(words.table["image"].unique()))
    return Data(prepared, features, {name: texts for name, texts in references.items() if name in features})


class CaptionRows(keras.utils.PyDataset):
    """Batches with one caption per row, from packed captions.

    A batch is ({"features": (B, C), "token_ids": (B, T)}, labels (B, T), sample_weight (B, T)). Padding and unknown
    words have weight 0. With a `seed`, every epoch has its own order; without, captions are sorted by length.
    """

    def __init__(
        self, packed: PackedCaptions, features: dict[str, np.ndarray], batch_size: int, seed: int | None = None
    ) -> None:
        super().__init__()
        self.packed, self.batch_size = packed, batch_size
        self.features = np.stack([features[name] for name in packed.images])
        self.image_of = np.repeat(np.arange(len(packed.images)), np.diff(packed.caption_splits))
        self.lengths = np.diff(packed.tokens.row_splits)
        self.random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def on_epoch_end(self) -> None:
        if self.random is None:
            order = np.argsort(self.lengths, kind="stable")
            self.batches = np.split(order, range(self.batch_size, len(order), self.batch_size))
            return
        order, size = self.random.permutation(len(self.lengths)), self.batch_size * WINDOW_BATCHES
        windows = [part[np.argsort(self.lengths[part])] for part in np.split(order, range(size, len(order), size))]
        batches = [
            part for rows in windows for part in np.split(rows, range(self.batch_size, len(rows), self.batch_size))
        ]
        self.batches = [batches[index] for index in self.random.permutation(len(batches))]

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        rows = self.batches[index]
        tokens = np.zeros((len(rows), self.lengths[rows].max()), np.int32)
        for batch_row, row in enumerate(rows):
            tokens[batch_row, : self.lengths[row]] = self.packed.tokens[row]
        labels = tokens[:, 1:]
        is_known = (labels != Tokenizer.pad_token_id) & (labels != Tokenizer.unk_token_id)
        weights = is_known * self.packed.weights[rows][:, None]
        inputs = {"features": self.features[self.image_of[rows]], "token_ids": tokens[:, :-1]}
        return inputs, labels, weights.astype(np.float32)


def fit(
    model: keras.Model,
    data: Data,
    optimizer: keras.optimizers.Optimizer,
    arguments: argparse.Namespace,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Trains with Keras `fit` until the validation loss (nats per known token) stops falling for `patience` epochs.

    The model then has the weights of its best epoch.
    """
    model.compile(optimizer, MaskedLoss(0.0), weighted_metrics=[TokenLoss(), TokenAccuracy()])
    [packed] = data.prepared.train.values()
    stop = keras.callbacks.EarlyStopping(
        "val_token_loss", patience=arguments.patience, mode="min", restore_best_weights=True
    )
    return model.fit(
        CaptionRows(packed, data.features, BATCH_SIZE, arguments.seed),
        validation_data=CaptionRows(data.prepared.val, data.features, 500),
        epochs=arguments.epochs,
        callbacks=[*callbacks, stop],
        shuffle=False,
        verbose=2,
    )


def search(model: Any, features: np.ndarray, beam_width: int, max_length: int = MAX_LENGTH) -> list[list[int]]:
    """Beam search: the token_ids of a caption for each row of features (B, C), without start and end tokens.

    A `beam_width` of 1 is greedy search. An image is finished when `beam_width` of its captions have ended; the one
    with the highest log-probability / length**LENGTH_PENALTY is returned.
    """
    images, width = len(features), beam_width
    state = list(model.begin(np.repeat(features, width, axis=0)))
    tokens = np.full((images, width, 1), Tokenizer.start_token_id)
    scores = np.where(np.arange(width) == 0, 0.0, -np.inf) * np.ones(
        (images, 1)
    )  # all beams are equal at first, so only one counts
    best, best_score = [[] for _ in range(images)], np.full(images, -np.inf)
    ended = np.zeros(images, int)
    step = tf.function(model.step, reduce_retracing=True)
    for length in range(1, max_length + 1):
        logits, state = step(tf.constant(tokens[:, :, -1].reshape(-1), tf.int32), state)
        log_probs = np.array(tf.nn.log_softmax(logits)).reshape(images, width, -1)
        log_probs[..., list(Tokenizer.suppress_tokens)] = -np.inf
        vocabulary_size = log_probs.shape[-1]
        candidates = (scores[..., None] + log_probs).reshape(images, -1)
        # Twice the beam width, because at most `width` of them end here.
        best_candidates = np.argsort(-candidates, axis=1, kind="stable")[:, : 2 * width]
        values = np.take_along_axis(candidates, best_candidates, axis=1)
        parents, words = best_candidates // vocabulary_size, best_candidates % vocabulary_size
        ends = words == Tokenizer.end_token_id
        for image, rank in np.argwhere(ends[:, :width] & np.isfinite(values[:, :width])):
            score = values[image, rank] / length**LENGTH_PENALTY
            if ended[image] < width and score > best_score[image]:
                best_score[image], best[image] = score, tokens[image, parents[image, rank], 1:].tolist()
            ended[image] += 1
        if (ended >= width).all():
            break
        continued = np.argsort(ends, axis=1, kind="stable")[:, :width]
        scores, parents, words = (np.take_along_axis(part, continued, axis=1) for part in (values, parents, words))
        tokens = np.concatenate([np.take_along_axis(tokens, parents[..., None], axis=1), words[..., None]], axis=2)
        rows = tf.constant((np.arange(images)[:, None] * width + parents).reshape(-1))
        state = [tf.gather(part, rows) for part in state]
    for image in np.flatnonzero(ended == 0):  # truncated at the length limit
        best[image] = tokens[image, 0, 1:].tolist()
    return best


def caption_all(model: Any, data: Data, names: Sequence[str], beam_width: int, batch_size: int = 250) -> dict[str, str]:
    """Captions of the named images, by name."""
    captions = {}
    for start in range(0, len(names), batch_size):
        part = names[start : start + batch_size]
        token_lists = search(model, np.stack([data.features[name] for name in part]), beam_width)
        captions |= {name: data.tokenizer.detokenize(ids) for name, ids in zip(part, token_lists, strict=True)}
    return captions


def report(model: Any, data: Data, language: str, workdir: Path, log: Log) -> None:
    """Captions the validation split with greedy search and beam 3, saves captions and weights, and logs the scores."""
    model.save_weights(workdir / "model.weights.h5")
    names, results = list(data.references), {}
    for title, width in (("greedy", 1), ("beam 3", 3)):
        results[title] = captions = caption_all(model, data, names, width)
        path = workdir / f"predictions-{title.replace(' ', '-')}.jsonl"
        lines = [json.dumps({"image": name, "caption": captions[name]}, ensure_ascii=False) for name in names]
        write_atomically(path, "".join(f"{line}\n" for line in lines))
        log(f"{title}: {len(names):,} captions in {path}.")
    from caption_tx.evaluation.scores import score

    for title, captions in results.items():
        scores = score(captions, data.references, language)
        for unit, row in scores.rows.items():
            figures = ", ".join(f"{metric} {value.value:.1f}" for metric, value in row.items())
            log(f"{title}, {unit}: {figures}; {scores.statistics.distinct} distinct captions.")


def make_parser(doc: str | None, epochs: int) -> argparse.ArgumentParser:
    """A parser with the options of both baselines."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--language", choices=tuple(CAPTION_FILES), default="zh")
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--cache", help="feature cache to use or create (default: in the workdir)")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--patience", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def prepare(arguments: argparse.Namespace, backbone: BackboneConfig, min_frequency: int = 4) -> tuple[Data, Log]:
    """The data of a run, and a log with the time since its start."""
    log = make_log()
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(arguments.seed)
    config = Config(
        corpus=CorpusConfig(
            sources=(str(arguments.data / CAPTION_FILES[arguments.language]),), images=str(arguments.data / "images")
        ),
        text=TextConfig(language=arguments.language, min_frequency=min_frequency),
        backbone=replace(backbone, weights=arguments.backbone_weights),
    )
    return load_data(config, arguments.cache or str(arguments.workdir / "features"), log), log
