"""One run, from a caption file to a bundle: `train(config, workdir)`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from caption_tx.bundle import Bundle, load_bundle, save_bundle
from caption_tx.config import Config, DecodingOptions, TextConfig, TrainingConfig, dump_config, load_config
from caption_tx.data.batches.batching import packed_batches
from caption_tx.data.batches.packing import PackedCaptions
from caption_tx.data.batches.rows import RowOptions, cached_rows, image_rows
from caption_tx.data.corpus.table import read_table
from caption_tx.data.features.backbone import Backbone, dequantize
from caption_tx.data.features.cache import FeatureCache, explain_damage
from caption_tx.data.features.corpus_features import (
    encode_splits,
    encoding_options,
    find_unreadable,
    open_complete_cache,
)
from caption_tx.data.features.extraction import extract_features
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.data.preparation import (
    TRAINING_SPLITS,
    SegmentedCorpus,
    release_memory,
    segment_corpus,
    tokenize_corpus,
)
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.word_vectors import read_word_vectors
from caption_tx.errors import ConfigError
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import reference_converter
from caption_tx.files import write_atomically
from caption_tx.model.captioner import Captioner
from caption_tx.threads import parallel_chunks
from caption_tx.training import distribution
from caption_tx.training.callbacks import CaptionMetrics, RunCheckpoint, SampleCaptions
from caption_tx.training.distribution import Distribution
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss
from caption_tx.training.training_model import TrainingModel, make_captioner, resolve_precision


@dataclass(frozen=True)
class Stage:
    """Epochs `begin` to `end` (from 0, `end` excluded) on the captions of one stage, `steps` batches each."""

    number: int
    begin: int
    end: int
    steps: int


def plan_stages(config: TrainingConfig, steps: dict[int, int]) -> list[Stage]:
    """Divides the epochs among the stages of the sources; `steps` are the batches of an epoch of each.

    Raises:
        ConfigError: `stage_epochs` does not name the epochs of every stage but the last, or there are
            more stages than epochs.
    """
    numbers = sorted(steps)
    epochs = list(config.stage_epochs)
    if not epochs and len(numbers) > 1:
        epochs = [max(1, round(0.3 * config.epochs / (len(numbers) - 1)))] * (len(numbers) - 1)
    if len(epochs) != len(numbers) - 1:
        raise ConfigError(
            f"training.stage_epochs names the epochs of {len(epochs)} stages, but the sources have stages "
            f"{', '.join(map(str, numbers))}: give those of each stage but the last."
        )
    if sum(epochs) >= config.epochs:
        raise ConfigError(f"training.epochs ({config.epochs}) must be more than the {len(numbers)} stages need.")
    ends = np.cumsum([*epochs, config.epochs - sum(epochs)]).tolist()
    return [Stage(n, begin, end, steps[n]) for n, begin, end in zip(numbers, [0, *ends], ends, strict=False)]


def learning_rate_schedule(config: TrainingConfig, stages: Sequence[Stage]) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up to `learning_rate`, then a cosine to zero at the last step (Loshchilov and Hutter 2017)."""
    total = sum((stage.end - stage.begin) * stage.steps for stage in stages)
    warmup = min(round(config.warmup_epochs * stages[0].steps), total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def train(config: Config, workdir: str | Path, log: Callable[[str], None] = print) -> Bundle:
    """Trains, or goes on with a run that was stopped, and returns the bundle of the best epoch.

    The workdir then holds `config.toml`, `log.csv`, `curves.png`, `samples.txt`, `left_out.csv`,
    `checkpoint.npz`, `tensorboard/`, `features/` (unless the cache lies elsewhere) and `bundle/`.

    Several GPUs share each batch. Where `TF_CONFIG` names several workers this process is one of them: all
    call it with the same arguments, the first writes the workdir, and all return the same bundle.

    Raises:
        ConfigError: a bad setting, or the workdir holds a run with other settings.
        CorpusError: the captions cannot be read, or nothing is left to train on.
        CacheError: the feature cache was made otherwise.
        CaptionTxError: another worker ended before its time.
    """
    chosen = distribution.choose()
    with chosen.watched():
        return _train(config, Path(workdir), log if chosen.is_chief else _keep_quiet, chosen)


def _keep_quiet(text: str) -> None:
    """What the other workers log: the same as the first."""


def _train(config: Config, workdir: Path, log: Callable[[str], None], chosen: Distribution) -> Bundle:
    chosen.assert_same("settings", dump_config(config))
    if chosen.is_chief:
        workdir.mkdir(parents=True, exist_ok=True)
        _claim(config, workdir)
    chosen.wait()
    # As the run has it: a machine with another processor goes on in the same precision.
    precision = load_config(workdir / "config.toml").training.precision
    keras.utils.set_random_seed(config.training.seed)
    if chosen.is_divided:
        if precision == "mixed_float16":
            raise ConfigError(
                "training.precision mixed_float16 scales the loss on each device for itself, so it is for one device; "
                "on several, take mixed_bfloat16."
            )
        log(f"Each batch is divided among {chosen.workers} workers with {chosen.devices} devices each.")

    table = read_table(config.corpus)
    _check_against(config, table)
    images = open_images(config.corpus.images)
    cache = None
    with contextlib.nullcontext() if config.training.cached else chosen.strategy.scope():
        backbone = Backbone(config.backbone)
    folder = config.training.cache or str(workdir / "features")
    if config.training.cached:
        if chosen.workers == 1:
            cache = encode_splits(config, folder, backbone, table, TRAINING_SPLITS, log)
        else:
            rank, world_size = chosen.share
            options = encoding_options(config, rank=rank, world_size=world_size)
            encode_splits(config, folder, backbone, table, TRAINING_SPLITS, log, options)
            chosen.wait()
            cache = open_complete_cache(folder, backbone, table, TRAINING_SPLITS, log)
    text = _keep_dictionary(config.text, workdir) if chosen.is_chief else config.text
    asked = table["image"][table["split"].isin(TRAINING_SPLITS)].unique()
    if cache is None:
        unreadable = find_unreadable(images, asked, backbone.config.image_size, log)
    else:
        unreadable = {name: cache.failed[name] for name in asked if name not in cache.images}
    words = segment_corpus(table, Segmenter(config.text), unreadable, config.corpus.leave_out)
    del table
    if chosen.is_chief:
        _tell_left_out(words.left_out, workdir / "left_out.csv", log)
    prepared = tokenize_corpus(config, words, log)
    tokenizer, val = prepared.tokenizer, prepared.val

    vectors = None
    if config.text.word_vectors is not None:
        vectors = read_word_vectors(config.text.word_vectors, tokenizer.vocabulary)
        log(vectors.summary(prepared.label_counts))
        chosen.assert_same("word vectors", vectors.digest)
    chosen.assert_same("captions and images", prepared.fingerprint)
    parts = 1 if chosen.devices > 1 else min(parallel_chunks(), math.ceil(config.training.batch_size / chosen.workers))
    log(f"Computing in {precision}" + (f", each batch in {parts} lanes." if parts > 1 else "."))
    model_class = distribution.patched(TrainingModel, chosen)
    with chosen.strategy.scope():
        captioner = make_captioner(tokenizer.vocabulary_size, backbone.feature_shape, config.model, precision, vectors)
        model = model_class(captioner, None if cache else backbone, config.training.accumulation_steps, parts)
    known = captioner.token_output.adapt(prepared.label_counts)
    log(f"Before training, expect a loss near the marginal entropy: {known}.")
    captioner.summary(print_fn=lambda text, **_: log(text))

    views = 1 + config.training.flips + config.training.crops

    def batches(packed: PackedCaptions, seed: int | None, augmented: bool) -> Any:
        options = RowOptions(seed, views if augmented else 1, *chosen.share)
        if cache is not None:
            rows = cached_rows(cache, packed, options)
        else:
            rows = image_rows(images, packed, backbone.config.image_size, options, log)
        uncounted = (Tokenizer.pad_token_id, Tokenizer.unk_token_id)
        size, parts = config.training.batch_size, chosen.devices
        return chosen.dataset(packed_batches(rows, packed, size, uncounted, seed, parts))

    size = config.training.batch_size
    steps = {number: math.ceil(len(packed.images) / size) for number, packed in prepared.train.items()}
    stages = plan_stages(config.training, steps)
    with chosen.strategy.scope():
        schedule = learning_rate_schedule(config.training, stages)
        model.compile(
            distribution.make_adam(schedule, config.training.clip_norm, chosen),
            MaskedLoss(config.training.label_smoothing),
            weighted_metrics=[TokenLoss(), TokenAccuracy()],
            jit_compile=False,
        )

    def save(facts: dict[str, Any]) -> None:
        own_text = replace(text, word_vectors=None)  # the bundle holds the vectors: they are the embedding
        bundle = Bundle(captioner, tokenizer, own_text, backbone.config, backbone.key, facts)
        save_bundle(bundle, workdir / "bundle")

    monitor = "token_loss" if val is None else "val_token_loss"
    if config.training.monitor != "loss":
        monitor = f"val_{config.training.monitor}"
    state = RunCheckpoint(
        captioner,
        workdir,
        prepared.fingerprint,
        config.training.patience,
        save,
        monitor,
        stages[-1].begin,
        writes=chosen.is_chief,
        highest=config.training.monitor != "loss",
    )
    with chosen.strategy.scope():
        done = state.restore(model)
    chosen.assert_same("checkpoint", str(state.history))
    if done:
        log(f"Going on after epoch {done} of the run in {workdir}.")
    callbacks: list[keras.callbacks.Callback] = [state]
    if config.training.score_every and val is not None:
        # Before the state, which is to see what it adds to the logs.
        callbacks.insert(0, _free_running(config, captioner, tokenizer, words, images, backbone, cache, chosen, log))
    samples = _samples(config, captioner, tokenizer, words, images, backbone, workdir, log)
    if samples and chosen.is_chief:
        callbacks.append(samples)
    if config.training.tensorboard and chosen.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(workdir / "tensorboard", write_graph=False))
    del words
    release_memory()
    with explain_damage(folder):
        for stage in stages:
            begin = max(done, stage.begin)
            if begin >= stage.end or state.stopped:
                continue
            if len(stages) > 1:
                log(f"Stage {stage.number}: epochs {stage.begin + 1} to {stage.end}.")
            model.fit(
                batches(prepared.train[stage.number], config.training.seed + begin, True),
                validation_data=None if val is None else batches(val, None, False),
                initial_epoch=begin,
                epochs=stage.end,
                callbacks=callbacks,
                shuffle=False,
                verbose=2 if chosen.is_chief else 0,
            )
    if state.best_epoch is None:
        raise ConfigError("No epoch was trained; training.epochs must be at least 1.")
    state.use_best()
    best = state.history[state.best_epoch]
    if chosen.is_chief:
        save(best)
    chosen.wait()
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
    """Writes the run's settings, its precision decided, or refuses a workdir that holds a run with others."""
    path, precision = workdir / "config.toml", config.training.precision
    begun = load_config(path) if path.exists() and (workdir / "checkpoint.npz").exists() else None
    if precision == "auto":
        precision = begun.training.precision if begun else resolve_precision()
    decided = replace(config, training=replace(config.training, precision=precision))
    if begun is None:
        write_atomically(path, dump_config(decided))
    elif begun != decided:
        raise ConfigError(
            f"{workdir} holds a run with other settings (see {path}); repeat them to go on with it, "
            "or name another --workdir."
        )


def _tell_left_out(left_out: pd.DataFrame, path: Path, log: Callable[[str], None]) -> None:
    """Lists what training leaves out in a file, and counts it by reason."""
    if not len(left_out):
        path.unlink(missing_ok=True)
        return
    write_atomically(path, left_out.to_csv(index=False))
    reasons = left_out["reason"].str.partition(":")[0].value_counts()
    counts = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    log(f"Left out {len(left_out):,} lines, captions and images ({counts}), listed in {path}.")


def _check_against(config: Config, table: pd.DataFrame) -> None:
    """Refuses settings that do not fit the corpus before hours of encoding."""
    training = table["split"] == "train"
    plan_stages(config.training, dict.fromkeys(table["stage"][training].unique().tolist() or [1], 1))
    if config.training.score_every:
        require_scorers()
        if not ((table["split"] == "val") & (table["origin"] == "human")).any():
            raise ConfigError("training.score_every needs captions of people in split 'val'; there are none.")
    known = set(table["image"])
    if unknown := [name for name in config.training.sample_images if name not in known]:
        raise ConfigError(f"training.sample_images names '{unknown[0]}', which the corpus does not have.")


def _free_running(
    config: Config,
    captioner: Captioner,
    tokenizer: Tokenizer,
    words: SegmentedCorpus,
    images: ImageSource,
    backbone: Backbone,
    cache: FeatureCache | None,
    chosen: Distribution,
    log: Callable[[str], None],
) -> CaptionMetrics:
    """Scores of images that are spread over the validation split, the same in every run on it."""
    training = config.training
    references = words.references("val", training.score_images)
    names = list(references)
    features = None
    if chosen.is_chief:
        features = extract_features(backbone, images, names).features if cache is None else cache.load(names)
    return CaptionMetrics(
        captioner,
        tokenizer,
        features,
        references,
        config.text.language,
        DecodingOptions(beam_width=training.score_beam_width),
        training.score_every,
        training.epochs,
        log,
        chosen.broadcast,
        reference_converter(config.text),
    )


def _samples(
    config: Config,
    captioner: Captioner,
    tokenizer: Tokenizer,
    words: SegmentedCorpus,
    images: ImageSource,
    backbone: Backbone,
    workdir: Path,
    log: Callable[[str], None],
) -> SampleCaptions | None:
    """Samples of the images the settings name, else of the first of the validation (or training) split."""
    # What a person wrote comes before what a machine did.
    rows = words.table.sort_values("origin", kind="stable").drop_duplicates("image")
    rows = rows.sort_index().set_index("image")
    names = [name for name in config.training.sample_images if name in rows.index]
    if lost := set(config.training.sample_images) - set(names):
        log(f"No sample captions of images that training does not use: {', '.join(sorted(lost))}.")
    if not config.training.sample_images:
        split = "val" if (rows["split"] == "val").any() else "train"
        names = list(rows.index[rows["split"] == split][: config.training.sample_count])
    if not names:
        return None
    extracted = extract_features(backbone, images, names)
    for error in extracted.errors.values():
        log(f"No sample captions of an image: {error}")
    if not extracted.names:
        return None
    names = extracted.names
    encoded = np.asarray(dequantize(extracted.features))
    said = {"human": "a person wrote", "machine": "a machine translated"}
    references = [f"{said[rows.loc[name, 'origin']]}: {rows.loc[name, 'caption']}" for name in names]
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
