"""Fine-tunes a finished run with a CIDEr reward, from its bundle to a better one: `tune(run, workdir)`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import keras

from caption_tx.bundle import Bundle, load_bundle, recover_bundle, save_bundle, stored_search
from caption_tx.config import Config, TuningConfig, from_dict, load_config, to_dict
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.table import read_table
from caption_tx.data.features.cache import FeatureCache, explain_damage
from caption_tx.data.features.corpus_features import encode_splits
from caption_tx.data.preparation import TRAINING_SPLITS, SegmentedCorpus, fingerprint, segment_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import ConfigError
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import reference_converter
from caption_tx.files import remove_leftovers, write_atomically
from caption_tx.locks import lock_folder
from caption_tx.model.captioner import Captioner
from caption_tx.training.callbacks import CaptionMetrics, CaptionScorer, CsvLog, SaveBest
from caption_tx.training.checkpoint import RunCheckpoint, RunHistory
from caption_tx.training.curves import CurvesPlot
from caption_tx.training.run import weights_file
from caption_tx.training.tuning.self_critical import Tuner, collect_captions


@dataclass(frozen=True)
class _FinishedRun:
    """A run to fine-tune: its settings, bundle, feature cache and captions."""

    config: Config
    bundle: Bundle
    cache: FeatureCache
    segmented: SegmentedCorpus


def tune(
    run: str | Path,
    workdir: str | Path,
    tuning: TuningConfig | None = None,
    log: Callable[[str], None] = print,
    backbone_weights: str | None = None,
) -> Bundle:
    """Fine-tunes the bundle of a finished run, or resumes a tuning that was stopped; returns the best epoch's bundle.

    The best epoch has the highest CIDEr of greedy captions of the validation split. Epoch 0, the bundle of the run,
    competes too. Tuning stops after an epoch whose captions are less diverse than `tuning.least_distinct` allows; that
    epoch is not used. The workdir then contains `tuning.json`, `log.csv`, `curves.png`, `checkpoint.npz` and
    `bundle/`, whose `facts["tuning"]` are the metrics of the best epoch.

    Args:
        run: workdir of the finished run.
        workdir: folder of the tuning.
        tuning: the settings.
        log: gets lines of text about the progress.
        backbone_weights: file with the backbone's weights, if the path in the run's settings is not valid here.

    Raises:
        ConfigError: the run has no feature cache or no validation split, the workdir contains another tuning, or the
            scorers are not installed.
        BundleError: the run has no valid bundle, or was trained with other backbone weights.
        CorpusError, CacheError: as `train`.
        CaptionTxError: the weights are no longer finite, or the captions changed since the tuning began, or
            another process uses the workdir.
    """
    run, workdir, tuning = _run_folder(Path(run)), Path(workdir), tuning or TuningConfig()
    require_scorers()
    config, bundle = load_config(run / "config.toml").resolved(), load_bundle(run / "bundle")
    if not config.training.cached:
        raise ConfigError(f"{run} was trained without a feature cache, which tuning needs; train it with a cache.")
    with lock_folder(workdir, "uses"):
        _claim_workdir(tuning, config, run, workdir)
        remove_leftovers(workdir, locked=True)
        recover_bundle(workdir / "bundle", locked=True)
        cache = config.training.cache or str(run / "features")
        finished = _load_run(config, bundle, cache, log, backbone_weights)
        return _tune(finished, workdir, tuning, log)


def _tune(finished: _FinishedRun, workdir: Path, tuning: TuningConfig, log: Callable[[str], None]) -> Bundle:
    """Runs the epochs of a tuning whose workdir is claimed and locked."""
    config, bundle = finished.config, finished.bundle
    keras.utils.set_random_seed(tuning.seed)
    captions = collect_captions(finished.segmented, bundle.tokenizer, bundle.captioner.max_length)
    captioner = _copy_captioner(bundle, config.training.precision)
    tuner = Tuner(captioner, bundle.tokenizer, captions, tuning)

    def save(facts: dict[str, float]) -> None:
        own = {"attention": {"pool": bundle.pool}, "tuning": facts}  # the accuracy of the maps is no longer known
        decoding = stored_search(workdir / "bundle", bundle.decoding)
        tuned = replace(bundle, captioner=captioner, facts=bundle.facts | own, decoding=decoding)
        save_bundle(tuned, workdir / "bundle")

    history = RunHistory("val_cider", patience=tuning.epochs + 1, maximize=True)
    known = fingerprint(bundle.tokenizer, {"tuning": captions.packed})
    checkpoint = RunCheckpoint(captioner, history, workdir / "checkpoint.npz", known)
    checkpoint.set_model(SimpleNamespace(optimizer=tuner.optimizer))
    metrics = _make_metrics(finished, tuning, captioner, log)
    done = checkpoint.restore(checkpoint.model) - 1
    if done > 0:
        log(f"Resuming after epoch {done} of the tuning in {workdir}.")
    logs = [CsvLog(history, workdir / "log.csv"), CurvesPlot(history, workdir / "curves.png")]
    if history.epochs:  # a kill may have come between the checkpoint and these files
        for callback in logs:
            callback.on_epoch_end(done)
    with explain_damage(finished.cache.folder):
        _run_epochs(tuner, finished, metrics, [checkpoint, *logs, SaveBest(history, save)], log)
    checkpoint.load_best_weights()
    save(best := history.epochs[history.best_epoch])
    log(f"Best epoch {history.best_epoch}: val_cider {best['val_cider']:.1f}. The bundle is in {workdir / 'bundle'}.")
    return load_bundle(workdir / "bundle")


def _run_folder(folder: Path) -> Path:
    """The folder of a run, also if the folder of its bundle is given."""
    is_bundle = (folder / "config.json").is_file() and (folder.parent / "config.toml").is_file()
    return folder.parent if is_bundle else folder


def _copy_captioner(bundle: Bundle, precision: str) -> Captioner:
    """The bundle's captioner in the precision of the run."""
    # Tuning steps do not scale their loss, without which the gradients of float16 would underflow.
    captioner = Captioner(bundle.captioner.settings, dtype=precision.replace("mixed_float16", "float32"))
    captioner.set_weights(bundle.captioner.get_weights())
    return captioner


def _load_run(
    config: Config, bundle: Bundle, cache_folder: str, log: Callable[[str], None], backbone_weights: str | None
) -> _FinishedRun:
    table = read_table(config.corpus, bundle.text.language)
    for note in reading_notes(table, bundle.text.language):
        log(note)
    backbone = bundle.load_backbone(backbone_weights or weights_file(config))
    cache = encode_splits(config, cache_folder, backbone, table, TRAINING_SPLITS, log)
    unreadable = {name: cache.failed[name] for name in table["image"].unique() if name in cache.failed}
    segmented = segment_corpus(table, Segmenter(bundle.text), unreadable, config.corpus.leave_out)
    return _FinishedRun(config, bundle, cache, segmented)


def _run_epochs(
    tuner: Tuner,
    finished: _FinishedRun,
    metrics: CaptionMetrics,
    callbacks: list[keras.callbacks.Callback],
    log: Callable[[str], None],
) -> None:
    """Runs the epochs that the history lacks; epoch 0 only scores the bundle of the run.

    Args:
        callbacks: the checkpoint, which has the history, then those that read it.
    """
    tuning, history = tuner.config, callbacks[0].history
    augmentations = 1 + finished.config.training.flips + finished.config.training.crops
    for epoch in range(len(history.epochs) - 1, tuning.epochs):  # indices, -1 for epoch 0
        if len(history.epochs) > 1 and "val_cider" not in history.epochs[-1]:
            break  # the last epoch was not diverse enough
        logs: dict[str, float] = {}
        if epoch >= 0:
            logs = tuner.run_epoch(finished.cache, augmentations, epoch)
            log(f"Epoch {epoch + 1}: CIDEr of sampled captions of training images {100 * logs['reward']:.1f}.")
        metrics.on_epoch_end(epoch, logs)
        if epoch >= 0 and logs["val_distinct"] < tuning.least_distinct * history.epochs[0]["val_distinct"]:
            log(
                f"Stopped: {logs['val_distinct']:,.0f} distinct captions are fewer than {tuning.least_distinct:.0%} of "
                f"the {history.epochs[0]['val_distinct']:,.0f} at the start; this epoch is not used."
            )
            del logs["val_cider"]  # an epoch without it cannot be the best
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
    for callback in callbacks:
        callback.on_train_end()


def _claim_workdir(tuning: TuningConfig, config: Config, run: Path, workdir: Path) -> None:
    """Writes the settings of a new tuning into its workdir.

    Raises:
        ConfigError: the workdir is that of the run, or contains another tuning.
    """
    path = workdir / "tuning.json"
    checksums = json.loads((run / "bundle" / "config.json").read_text(encoding="utf-8"))["files"]
    taken = workdir.resolve() == run.resolve()
    if not taken and (workdir / "checkpoint.npz").exists():
        try:
            existing = json.loads(path.read_text(encoding="utf-8"))
            settings = (from_dict(TuningConfig, existing["tuning"]), from_dict(Config, existing["run"]))
            taken = (*settings, existing["bundle"]) != (tuning, config, checksums)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
            taken = True
    if taken:
        raise ConfigError(
            f"{workdir} contains a run, or a tuning of another bundle or with other settings; choose another workdir."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    facts = {"tuning": to_dict(tuning), "run": to_dict(config), "bundle": checksums}
    write_atomically(path, json.dumps(facts, indent=1))


def _make_metrics(
    finished: _FinishedRun, tuning: TuningConfig, captioner: Captioner, log: Callable[[str], None]
) -> CaptionMetrics:
    """Scores of greedy captions of evenly spaced validation images."""
    references = finished.segmented.references("val", tuning.score_images)
    if not references:
        raise ConfigError("Tuning selects the best epoch on split 'val', but the corpus has none; add validation data.")
    features = finished.cache.load(list(references))
    if convert := reference_converter(finished.config.text):
        references = {name: [convert(text) for text in texts] for name, texts in references.items()}
    language = finished.config.text.language
    scorer = CaptionScorer(captioner, finished.bundle.tokenizer, features, references, language)
    return CaptionMetrics(scorer, every=1, last_epoch=tuning.epochs, log=log)
