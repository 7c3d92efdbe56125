"""One run, from a caption file to a bundle: `train(config, workdir)`."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from caption_tx.bundle import Bundle, load_bundle, save_bundle
from caption_tx.config import SPLITS, Config, ModelConfig, TextConfig, TrainingConfig, dump_config, load_config
from caption_tx.data import corpus, features, pipeline
from caption_tx.data.segmentation import Segmenter
from caption_tx.data.tokenizer import Tokenizer, build_vocabulary
from caption_tx.errors import CacheError, ConfigError, CorpusError, ImageError
from caption_tx.files import write_atomically
from caption_tx.model.captioner import Captioner
from caption_tx.training.callbacks import RunState, SampleCaptions
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss


class TrainingModel(keras.Model):
    """What `fit` sees: the captioner behind stored features, or behind pictures and the frozen backbone.

    Both ways round the activations to the cache's 8 bits, so both give the captioner the same numbers.
    """

    def __init__(self, captioner: Captioner, backbone: features.Backbone | None = None) -> None:
        super().__init__(name="training")
        self.captioner = captioner
        self._encode = None if backbone is None else backbone.network

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """`features` uint8 (B, h, w, C) or `images` uint8 (B, H, W, 3), and packed captions -> logits (B, T, V)."""
        inputs = dict(inputs)
        if "images" in inputs:
            images = keras.ops.cast(inputs.pop("images"), "float32")
            inputs["features"] = features.quantize(self._encode(images, training=False))
        inputs["features"] = features.dequantize(inputs["features"])
        return self.captioner(inputs, training=training)


@dataclass(frozen=True)
class Words:
    """A corpus as words: table of captions that training uses, with a column `words`, and what was left out."""

    table: pd.DataFrame
    left_out: pd.DataFrame

    def of(self, split: str) -> pd.DataFrame:
        return self.table[self.table["split"] == split]


def segment_corpus(table: pd.DataFrame, segmenter: Segmenter, unreadable: Iterable[str] = ()) -> Words:
    """Splits the captions into words; captions without words or without a readable image are left out."""
    table = table.assign(words=[segmenter.segment(caption) for caption in table["caption"]])
    reasons = pd.Series("", index=table.index)
    reasons[table["words"].str.len() == 0] = "no words in the caption"
    reasons[table["image"].isin(set(unreadable))] = "image cannot be read"
    left_out = table[reasons != ""].assign(reason=reasons[reasons != ""])
    skipped = pd.DataFrame(table.attrs.get("skipped", []), columns=["source", "line", "reason"])
    columns = ["source", "line", "image", "caption", "reason"]
    left_out = pd.concat([skipped, left_out], ignore_index=True).reindex(columns=columns)
    return Words(table[reasons == ""], left_out)


def learning_rate_schedule(config: TrainingConfig, steps_per_epoch: int) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up to `learning_rate`, then a cosine to zero at the last step (Loshchilov and Hutter 2017)."""
    total = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def make_captioner(vocabulary_size: int, feature_shape: tuple[int, int, int], config: ModelConfig) -> Captioner:
    """A new captioner of these sizes."""
    return Captioner(vocabulary_size=vocabulary_size, feature_shape=feature_shape, **asdict(config))


def train(config: Config, workdir: str | Path, log: Callable[[str], None] = print) -> Bundle:
    """Trains, or goes on with a run that was stopped, and returns the bundle of the best epoch.

    The workdir then holds `config.toml`, `log.csv`, `curves.png`, `samples.txt`, `left_out.csv`,
    `checkpoint.npz`, `tensorboard/`, `features/` (unless the cache lies elsewhere) and `bundle/`.

    Raises:
        ConfigError: a bad setting, or the workdir holds a run with other settings.
        CorpusError: the captions cannot be read, or nothing is left to train on.
        CacheError: the feature cache was made otherwise.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    _claim(config, workdir)
    keras.utils.set_random_seed(config.training.seed)

    table = _read(config)
    backbone = features.Backbone(config.backbone)
    folder = config.training.cache or str(workdir / "features")
    cache = _features(config, folder, backbone, table, ("train", "val"), log) if config.training.cached else None
    segmenter = Segmenter(config.text)
    text = _keep_dictionary(config.text, workdir)
    asked = set(table["image"][table["split"].isin(("train", "val"))])
    words = segment_corpus(table, segmenter, [] if cache is None else asked - cache.images)
    if len(words.left_out):
        path = workdir / "left_out.csv"
        words.left_out.to_csv(path, index=False)
        log(f"Left out {len(words.left_out)} captions, listed in {path}.")
    tokenizer, counts, packed = _tokenize(config, words, log)
    for split in list(packed) if cache is None else ():
        if any(_is_readable(config, name) for name in packed[split].images):
            continue
        if split == "train":
            raise CorpusError(
                f"Nothing is left to train on: no image of split 'train' can be read in '{config.corpus.images}'."
            )
        log(f"No image of split '{split}' can be read in '{config.corpus.images}'; it is left out.")
        del packed[split]

    captioner = make_captioner(tokenizer.vocabulary_size, backbone.feature_shape, config.model)
    known = captioner.token_output.adapt(counts)
    log(f"Before training, expect a loss near the marginal entropy: {known}.")
    captioner.summary(print_fn=lambda text, **_: log(text))
    model = TrainingModel(captioner, None if cache else backbone)

    datasets = {split: _dataset(config, split, rows, cache, log) for split, rows in packed.items()}
    steps = math.ceil(len(packed["train"].images) / config.training.batch_size)
    optimizer = keras.optimizers.Adam(
        learning_rate_schedule(config.training, steps), global_clipnorm=config.training.clip_norm
    )
    model.compile(
        optimizer,
        MaskedLoss(config.training.label_smoothing),
        weighted_metrics=[TokenLoss(), TokenAccuracy()],
        jit_compile=False,
    )

    def save(facts: dict[str, Any]) -> None:
        bundle = Bundle(captioner, tokenizer, text, config.backbone, backbone.key, facts)
        save_bundle(bundle, workdir / "bundle")

    fingerprint = hashlib.sha256("\n".join(tokenizer.vocabulary).encode() + packed["train"].labels.tobytes())
    monitor = "val_token_loss" if "val" in datasets else "token_loss"
    state = RunState(captioner, workdir, fingerprint.hexdigest(), config.training.patience, save, monitor)
    done = state.restore(model)
    if done:
        log(f"Going on after epoch {done} of the run in {workdir}.")
    if done < config.training.epochs and not state.stopped:
        callbacks: list[keras.callbacks.Callback] = [state]
        if samples := _samples(config, captioner, tokenizer, words, backbone, workdir, log):
            callbacks.append(samples)
        if config.training.tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(workdir / "tensorboard", write_graph=False))
        try:
            model.fit(
                datasets["train"](config.training.seed + done),
                validation_data=datasets["val"](None) if "val" in datasets else None,
                initial_epoch=done,
                epochs=config.training.epochs,
                callbacks=callbacks,
                shuffle=False,
                verbose=2,
            )
        except tf.errors.DataLossError as error:
            raise CacheError(
                f"A shard of the feature cache is damaged: {error.message}. Delete that shard and its .json, "
                "and train again: only its images are encoded anew."
            ) from error
    if state.best_epoch is None:
        raise ConfigError("No epoch was trained; training.epochs must be at least 1.")
    state.use_best()
    best = state.history[state.best_epoch]
    save(best)
    log(f"Best epoch {state.best_epoch + 1}: {monitor} {best[monitor]:.4f}. The bundle is in {workdir / 'bundle'}.")
    return load_bundle(workdir / "bundle")


def _keep_dictionary(text: TextConfig, workdir: Path) -> TextConfig:
    """The settings with the user dictionary as it is now, kept in the workdir for the bundles to come."""
    if text.user_dictionary is None:
        return text
    kept = workdir / "user_dictionary.txt"
    write_atomically(kept, Path(text.user_dictionary).read_bytes())
    return replace(text, user_dictionary=str(kept))


def _claim(config: Config, workdir: Path) -> None:
    """Writes the run's settings, or refuses a workdir that holds a run with others."""
    path = workdir / "config.toml"
    if path.exists() and (workdir / "checkpoint.npz").exists():
        if load_config(path) != config:
            raise ConfigError(
                f"{workdir} holds a run with other settings (see {path}); repeat them to go on with it, "
                "or name another --workdir."
            )
        return
    write_atomically(path, dump_config(config))


def _is_readable(config: Config, name: str) -> bool:
    try:
        features.read_image(os.path.join(config.corpus.images, name), config.backbone.image_size)
    except ImageError:
        return False
    return True


def _read(config: Config) -> pd.DataFrame:
    source = config.corpus
    return corpus.read_corpus(
        source.sources, source.format, source.val_fraction, source.test_fraction, source.split_seed
    )


def encode_corpus(config: Config, folder: str | Path, log: Callable[[str], None] = print) -> features.FeatureCache:
    """Encodes every image of the corpus that the cache in `folder` does not hold; returns the cache.

    Raises:
        ConfigError, CorpusError, CacheError: as `train`.
    """
    table = _read(config)
    return _features(config, str(folder), features.Backbone(config.backbone), table, SPLITS, log)


def _features(
    config: Config,
    folder: str,
    backbone: features.Backbone,
    table: pd.DataFrame,
    splits: Sequence[str],
    log: Callable[[str], None],
) -> features.FeatureCache:
    """The cache with every readable image of these splits; split by split, so that a shard holds one split."""
    names = [name for split in splits for name in table["image"][table["split"] == split].unique()]
    cache = features.encode_images(
        names,
        config.corpus.images,
        folder,
        backbone,
        flips=config.training.flips,
        progress=lambda images, total: tqdm(images, total=total, unit="image", desc="features", disable=not total),
    )
    failed = sorted(set(names) - cache.images)
    for name in failed[:10]:
        log(f"Skipped: {cache.failed.get(name, name)}")
    if len(failed) > 10:
        log(f"... and {len(failed) - 10} more; all are in {os.path.join(cache.folder, 'failed.json')}.")
    return cache


def _tokenize(
    config: Config, words: Words, log: Callable[[str], None]
) -> tuple[Tokenizer, np.ndarray, dict[str, pipeline.PackedCaptions]]:
    """The tokenizer of the training split, its label counts (V,), and the packed captions of each split."""
    training = words.of("train")["words"]
    vocabulary = build_vocabulary(training, config.text.max_vocabulary_size, config.text.min_frequency)
    tokenizer = Tokenizer(vocabulary, config.text.language)
    packed: dict[str, pipeline.PackedCaptions] = {}
    counts = np.zeros(tokenizer.vocabulary_size, np.int64)
    for split in ("train", "val"):
        rows = words.of(split)
        if not len(rows):
            log(f"There are no captions in split '{split}'.")
            continue
        # One token more than positions: the last is only ever a label.
        tokens = tokenizer.tokenize(rows["words"], config.model.max_length + 1)
        report = tokenizer.report(rows["words"])
        log(
            f"{split}: {rows['image'].nunique():,} images, {len(rows):,} captions, longest {report['longest_caption']} "
            f"words, {report['oov_share']:.2%} of words unknown, {tokens.truncated} captions cut at "
            f"{config.model.max_length} tokens."
        )
        if split == "train":
            counts = tokenizer.count_tokens(tokens)
            counts[tokenizer.unk_token_id] = 0
        by_image: dict[str, list[np.ndarray]] = {}
        for image, caption in zip(rows["image"], tokens, strict=True):
            by_image.setdefault(image, []).append(caption)
        packed[split] = pipeline.pack_captions(by_image)
    if "train" not in packed:
        raise CorpusError("Nothing is left to train on: no caption with words and a readable image in split 'train'.")
    if tokenizer.vocabulary_size == 4:
        raise ConfigError(f"No word is seen {config.text.min_frequency} times; lower text.min_frequency.")
    log(f"Vocabulary: {tokenizer.vocabulary_size:,} tokens.")
    return tokenizer, counts, packed


def _dataset(
    config: Config,
    split: str,
    packed: pipeline.PackedCaptions,
    cache: features.FeatureCache | None,
    log: Callable[[str], None],
) -> Callable[[int | None], tf.data.Dataset]:
    """Makes the split's batches, shuffled by a seed or in order."""
    batch_size = config.training.batch_size

    def make(seed: int | None) -> tf.data.Dataset:
        flips = config.training.flips and split == "train"
        if cache is not None:
            rows = pipeline.cached_rows(cache, packed, seed, flips)
        else:
            size = config.backbone.image_size
            rows = pipeline.picture_rows(config.corpus.images, packed, size, seed, flips, log)
        uncounted = (Tokenizer.pad_token_id, Tokenizer.unk_token_id)
        return pipeline.packed_batches(rows, packed, batch_size, uncounted, seed)

    return make


def _samples(
    config: Config,
    captioner: Captioner,
    tokenizer: Tokenizer,
    words: Words,
    backbone: features.Backbone,
    workdir: Path,
    log: Callable[[str], None],
) -> SampleCaptions | None:
    """Samples of the images the settings name, else of the first of the validation (or training) split."""
    rows = words.table.drop_duplicates("image").set_index("image")
    names = list(config.training.sample_images)
    if unknown := [name for name in names if name not in rows.index]:
        raise ConfigError(f"training.sample_images names '{unknown[0]}', which the corpus does not have.")
    if not names:
        split = "val" if (rows["split"] == "val").any() else "train"
        names = list(rows.index[rows["split"] == split][: config.training.sample_count])
    if not names:
        return None
    size = config.backbone.image_size
    pictures = {}
    for name in names:
        try:
            pictures[name] = features.read_image(os.path.join(config.corpus.images, name), size)[1]
        except ImageError as error:
            log(f"No sample captions of an image: {error}")
    if not pictures:
        return None
    names = list(pictures)
    encoded = np.asarray(features.dequantize(backbone.encode(np.stack(list(pictures.values())))))
    references = [rows.loc[name, "caption"] for name in names]
    return SampleCaptions(
        captioner,
        tokenizer,
        names,
        encoded,
        references,
        config.training.sample_temperatures,
        workdir / "samples.txt",
        log,
    )
