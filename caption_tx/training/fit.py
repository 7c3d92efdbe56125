"""Trains a captioner, from a caption file to a bundle: `train(config, workdir)`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from caption_tx.assets import name_origin
from caption_tx.bundle import Bundle, is_saved, load_bundle, save_bundle, stored_search
from caption_tx.config import MIN_IMAGES, NAMED_WEIGHTS, Config, DecodingOptions
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.table import read_table
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import explain_damage
from caption_tx.data.features.extraction import extract_features
from caption_tx.data.features.retrieval_index import RetrievalIndex
from caption_tx.data.preparation import (
    SegmentedCorpus,
    TrainingData,
    release_memory,
    segment_corpus,
    tokenize_corpus,
)
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import ConfigError
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import reference_converter
from caption_tx.locks import lock_folder
from caption_tx.model.captioner import Captioner
from caption_tx.training.boxes import StartBoxes, with_targets
from caption_tx.training.building import build_model, compile_model
from caption_tx.training.callbacks import (
    CaptionMetrics,
    CaptionScorer,
    CsvLog,
    EarlyStopping,
    EpochLog,
    SampleCaptions,
    SampleImages,
    SaveBest,
)
from caption_tx.training.checkpoint import RunCheckpoint, RunHistory, monitored_metric
from caption_tx.training.curves import CurvesPlot
from caption_tx.training.distribution import make_distribution
from caption_tx.training.initialization import (
    adopt_settings,
    describe_settings,
    inherited_search,
    load_initial_bundle,
)
from caption_tx.training.inputs import TrainingInputs, cache_folder, prepare_inputs
from caption_tx.training.map_choice import MAX_BOX_IMAGES, measure_maps
from caption_tx.training.retrieval import RETRIEVAL_WEIGHT, make_retrieval_index
from caption_tx.training.run import RunContext, copy_user_dictionary, open_workdir, report_left_out, store_settings
from caption_tx.training.schedule import Stage, plan_stages
from caption_tx.training.training_model import TrainingModel


def train(
    config: Config,
    workdir: str | Path,
    log: Callable[[str], None] = print,
    verbose: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Bundle:
    """Trains a captioner, or resumes a run that was stopped; returns the bundle of the best epoch.

    The workdir then contains `config.toml`, `log.csv`, `curves.png`, `samples.txt`, `left_out.csv`, `checkpoint.npz`,
    `tensorboard/`, `features/` (unless `training.cache` names another folder) and `bundle/`.

    Several GPUs share each batch. If `TF_CONFIG` names several workers, this process is one of them: all call `train`
    with the same arguments, the first writes the workdir, and all return the same bundle.

    Args:
        config: the settings.
        workdir: folder of the run.
        log: gets lines of text about the progress.
        verbose: log the layers of the model too.
        callbacks: further Keras callbacks, which run after those of the run; their `model.captioner` is the captioner.

    Raises:
        ConfigError: a setting is invalid or does not fit the bundle that `training.init` names, or the workdir contains
            a run with other settings.
        BundleError: `training.init` names no valid bundle, or the backbone is not that of the bundle.
        CorpusError: the captions cannot be read, or there is nothing to train on.
        CacheError: the feature cache was made with other settings.
        CaptionTxError: another process uses the workdir, or another worker was lost.

    Example:
        >>> config = Config(CorpusConfig(sources=("captions.csv",), images="photos"))
        >>> bundle = train(config, "run")
    """
    distribution, workdir, config = make_distribution(), Path(workdir), config.resolved()
    initial = load_initial_bundle(config, workdir)
    if initial is not None:
        config = adopt_settings(config, initial)
    lock = lock_folder(workdir, "uses") if distribution.is_chief else contextlib.nullcontext()
    with distribution.report_lost_workers(), lock:
        log = log if distribution.is_chief else _discard
        return _train(RunContext(config, workdir, distribution, log, initial, verbose, tuple(callbacks)))


def _discard(text: str) -> None:
    """The log of all workers but the chief."""


def _train(run: RunContext) -> Bundle:
    run = open_workdir(run)
    config, distribution, log = run.config, run.distribution, run.log
    table = read_table(config.corpus, config.text.language)
    _check_corpus(config, table)
    _log_start(run, table)
    inputs = prepare_inputs(run, table)
    text = copy_user_dictionary(config.text, run.workdir) if distribution.is_chief else config.text
    segmenter = Segmenter(config.text)
    if dictionary := segmenter.dictionary_report():
        log(dictionary.to_text())
    segmented = segment_corpus(table, segmenter, inputs.unreadable, config.corpus.leave_out)
    del table
    if distribution.is_chief:
        report_left_out(segmented.left_out, run.workdir / "left_out.csv", log)
    keep = run.initial.tokenizer.vocabulary if config.training.keep_words else ()
    data = with_targets(run, inputs, tokenize_corpus(config, segmented, log, keep))

    # Building a backbone draws random numbers too, and it may have been built before.
    keras.utils.set_random_seed(config.training.seed)
    model = build_model(run, inputs, data)
    stages = _plan(config, data)
    compile_model(run, model, stages)

    validation = segmented.references("val", MAX_BOX_IMAGES)
    index = make_retrieval_index(run, inputs, data, segmented)

    def save(facts: dict[str, Any], measured: bool = False) -> None:
        bundle = Bundle(
            model.captioner,
            data.tokenizer,
            replace(text, word_vectors=None),  # the vectors are in the bundle's embedding
            inputs.backbone.config,
            inputs.backbone.key,
            facts if run.initial is None else facts | {"init": name_origin(str(config.training.init))},
            _default_search(run, index),
            index,
        )
        save_bundle(measure_maps(run, bundle, inputs, validation) if measured else bundle, run.workdir / "bundle")

    monitor = monitored_metric(config.training.monitor, data.val is not None)
    history = RunHistory(monitor, config.training.patience, stages[-1].begin, config.training.monitor != "loss")
    known = data.fingerprint if run.initial is None else f"{data.fingerprint} {run.initial.digest()}"
    path, words = run.workdir / "checkpoint.npz", data.tokenizer.vocabulary
    checkpoint = RunCheckpoint(model.captioner, history, path, known, distribution.is_chief, words)
    _restore(run, checkpoint, model)
    callbacks = _make_callbacks(run, checkpoint, save, _metrics(run, model.captioner, inputs, data, segmented))
    if distribution.is_chief and (samples := _sample_captions(run, model.captioner, inputs, data, segmented)):
        callbacks.append(samples)
        samples.complete(len(history.epochs))
    if config.training.tensorboard and distribution.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(run.workdir / "tensorboard", write_graph=False))
    callbacks += [EpochLog(log), *run.callbacks]
    del segmented
    release_memory()
    with explain_damage(cache_folder(run)):
        _fit_stages(run, model, inputs, data, stages, history, callbacks)
    return _finish(run, checkpoint, save)


def _default_search(run: RunContext, index: RetrievalIndex | None) -> DecodingOptions:
    """The search that the bundle stores; one that was chosen for the run survives more epochs."""
    default = DecodingOptions()
    if run.initial is not None:
        default = inherited_search(run.initial, 0.0 if index is None else RETRIEVAL_WEIGHT)
    return stored_search(run.workdir / "bundle", default)


def _log_start(run: RunContext, table: pd.DataFrame) -> None:
    """Logs what was read differently from how it is written, and the bundle that the run starts from."""
    notes = list(reading_notes(table, run.config.text.language))
    validation = table["image"][table["split"] == "val"].nunique()
    if 0 < validation < MIN_IMAGES:
        notes.append(
            f"warning: split 'val' has {validation} image{'s' if validation > 1 else ''} only, too few to tell a "
            "better epoch from a worse one; assign it more, or raise corpus.val_fraction (--val-fraction)."
        )
    for note in [*notes, *([] if run.initial is None else describe_settings(run.config, run.initial))]:
        run.log(note)


def _check_corpus(config: Config, table: pd.DataFrame) -> None:
    """Rejects settings that do not fit the corpus, before hours of encoding."""
    in_training = table["split"] == "train"
    plan_stages(config.training, dict.fromkeys(table["stage"][in_training].unique().tolist() or [1], 1))
    if config.training.score_every:
        require_scorers()
        if not ((table["split"] == "val") & (table["origin"] == "human")).any():
            raise ConfigError(
                "training.score_every needs human captions in split 'val', and there are none; set it to 0."
            )
    known = set(table["image"])
    if unknown := [name for name in config.training.sample_images if name not in known]:
        raise ConfigError(f"training.sample_images names '{unknown[0]}', which is not in the corpus.")


def _plan(config: Config, data: TrainingData) -> list[Stage]:
    steps = {stage: math.ceil(len(packed.images) / config.training.batch_size) for stage, packed in data.train.items()}
    return plan_stages(config.training, steps)


def _restore(run: RunContext, checkpoint: RunCheckpoint, model: TrainingModel) -> None:
    with run.distribution.strategy.scope():
        epochs = checkpoint.restore(model)
    store_settings(run)
    run.distribution.assert_same("checkpoint", str(checkpoint.history.epochs))
    if epochs:
        run.log(f"Resuming after epoch {epochs} of the run in {run.workdir}.")
    if epochs and epochs >= run.config.training.epochs:
        run.log(f"All {epochs} epochs are done, so there is nothing to train; raise epochs to train longer.")
    if checkpoint.history.stopped and epochs < run.config.training.epochs:
        run.log(
            f"The run has stopped: {run.config.training.patience} epochs without improvement; raise training.patience "
            "to train longer."
        )


def _make_callbacks(
    run: RunContext,
    checkpoint: RunCheckpoint,
    save: Callable[[dict[str, Any]], None],
    metrics: CaptionMetrics | None,
) -> list[keras.callbacks.Callback]:
    """The callbacks in their order: metrics, checkpoint, then those that read the history."""
    history, workdir = checkpoint.history, run.workdir
    callbacks: list[keras.callbacks.Callback] = [] if metrics is None else [metrics]
    if run.config.boxes.sources:
        callbacks.append(StartBoxes(run.config.boxes.from_epoch))
    callbacks.append(checkpoint)
    if run.distribution.is_chief:
        callbacks += [CsvLog(history, workdir / "log.csv"), CurvesPlot(history, workdir / "curves.png")]
        if history.epochs:  # a kill may have come between the checkpoint and these files
            for callback in callbacks[-2:]:
                callback.on_epoch_end(len(history.epochs) - 1)
        callbacks.append(SaveBest(history, save))
    return [*callbacks, EarlyStopping(history)]


def _metrics(
    run: RunContext, captioner: Captioner, inputs: TrainingInputs, data: TrainingData, segmented: SegmentedCorpus
) -> CaptionMetrics | None:
    """Scores of evenly spaced validation images, the same in every run; None if the settings ask for none."""
    training = run.config.training
    if not training.score_every or data.val is None:
        return None
    scorer = None
    if run.distribution.is_chief:
        references = segmented.references("val", training.score_images)
        features = inputs.load_features(list(references))
        if convert := reference_converter(run.config.text):
            references = {name: [convert(text) for text in texts] for name, texts in references.items()}
        options = DecodingOptions(beam_width=training.score_beam_width)
        scorer = CaptionScorer(captioner, data.tokenizer, features, references, run.config.text.language, options)
    return CaptionMetrics(scorer, training.score_every, training.epochs, run.log, run.distribution.broadcast)


def _sample_captions(
    run: RunContext, captioner: Captioner, inputs: TrainingInputs, data: TrainingData, segmented: SegmentedCorpus
) -> SampleCaptions | None:
    """Sample captions of the images in the settings, by default the first of the validation (or training) split."""
    training, log = run.config.training, run.log
    # A human caption, if there is one, is the reference.
    rows = segmented.table.sort_values("origin", kind="stable").drop_duplicates("image")
    rows = rows.sort_index().set_index("image")
    names = [name for name in training.sample_images if name in rows.index]
    if unused := set(training.sample_images) - set(names):
        log(f"No sample captions of images that training does not use: {', '.join(sorted(unused))}.")
    if not training.sample_images:
        split = "val" if (rows["split"] == "val").any() else "train"
        names = list(rows.index[rows["split"] == split][: training.sample_count])
    if not names:
        return None
    extracted = extract_features(inputs.backbone, inputs.images, names)
    for error in extracted.errors.values():
        log(f"No sample captions of an image: {error}")
    if not extracted.names:
        return None
    origins = {"human": "human caption", "machine": "machine translation"}
    references = [f"{origins[rows.loc[name, 'origin']]}: {rows.loc[name, 'caption']}" for name in extracted.names]
    images = SampleImages(extracted.names, np.asarray(dequantize(extracted.features)), references)
    path = run.workdir / "samples.txt"
    return SampleCaptions(captioner, data.tokenizer, images, training.sample_temperatures, path, log)


def _fit_stages(
    run: RunContext,
    model: TrainingModel,
    inputs: TrainingInputs,
    data: TrainingData,
    stages: Sequence[Stage],
    history: RunHistory,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Runs `fit` for each stage that is not finished."""
    training, epochs_done = run.config.training, len(history.epochs)
    augmentations = 1 + training.flips + training.crops
    for stage in stages:
        begin = max(epochs_done, stage.begin)
        if begin >= stage.end or history.stopped:
            continue
        if model.stop_training:  # by a callback of the user, whose wish holds for all stages
            break
        if len(stages) > 1:
            run.log(f"Stage {stage.stage}: epochs {stage.begin + 1} to {stage.end}.")
        model.fit(
            inputs.batches(run, data.train[stage.stage], training.seed + begin, augmentations),
            validation_data=None if data.val is None else inputs.batches(run, data.val),
            initial_epoch=begin,
            epochs=stage.end,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )


def _finish(run: RunContext, checkpoint: RunCheckpoint, save: Callable[[dict[str, Any], bool], None]) -> Bundle:
    """Saves the bundle of the best epoch, and loads it in every worker."""
    history = checkpoint.history
    if history.best_epoch is None:
        raise ConfigError("No epoch was trained; training.epochs must be at least 1.")
    checkpoint.load_best_weights()
    best = history.epochs[history.best_epoch]
    bundle = run.workdir / "bundle"
    if run.distribution.is_chief and not is_saved(bundle, checkpoint.captioner, best):
        save(best, True)
    run.distribution.barrier()
    which, metric = "Best", history.monitor
    if metric == "epoch":
        which, metric = "Last", "val_token_loss" if "val_token_loss" in best else "token_loss"
    run.log(f"{which} epoch {history.best_epoch + 1}: {metric} {best[metric]:.4f}. The bundle is in {bundle}.")
    if (weights := run.config.backbone.weights) not in NAMED_WEIGHTS:
        run.log(
            f"The bundle does not contain the backbone; use it with backbone_weights (--backbone-weights) {weights}."
        )
    return load_bundle(bundle)
