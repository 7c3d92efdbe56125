"""One tuning, from a finished run to a bundle that captions better by CIDEr: `tune(run, workdir)`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import keras

from caption_tx.bundle import Bundle, load_bundle, save_bundle
from caption_tx.config import Config, DecodingOptions, TuningConfig, from_dict, load_config, to_dict
from caption_tx.data.corpus.table import read_table
from caption_tx.data.features.cache import FeatureCache, explain_damage
from caption_tx.data.features.corpus_features import encode_splits
from caption_tx.data.preparation import TRAINING_SPLITS, SegmentedCorpus, fingerprint, segment_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import ConfigError
from caption_tx.evaluation.metrics import require_scorers
from caption_tx.evaluation.protocol import reference_converter
from caption_tx.files import write_atomically
from caption_tx.model.captioner import Captioner
from caption_tx.training.callbacks import CaptionMetrics, RunCheckpoint
from caption_tx.training.tuning.self_critical import Tuner, collect_captions


def tune(
    run: str | Path,
    workdir: str | Path,
    tuning: TuningConfig | None = None,
    log: Callable[[str], None] = print,
    backbone_weights: str | None = None,
) -> Bundle:
    """Tunes the bundle of a finished run, or goes on with a tuning that was stopped; returns the best epoch's bundle.

    The best epoch is that with the highest CIDEr of greedy captions of the validation split, the bundle as it came
    (epoch 0) included. An epoch whose captions are less diverse than `tuning.least_distinct` allows is the last, and
    not used. The workdir then holds `tuning.json`, `log.csv`, `curves.png`, `checkpoint.npz` and `bundle/`, whose
    `facts["tuning"]` are those of the best epoch beside the facts of the run.

    Args:
        backbone_weights: file with the backbone's weights, where those of the run cannot be had.

    Raises:
        ConfigError: the run has no feature cache or no validation split, the workdir holds another tuning, or the
            scorers are not installed.
        BundleError: the run has no sound bundle, or these are other backbone weights than it was trained on.
        CorpusError, CacheError: as `train`.
        CaptionTxError: weights grew beyond numbers, or the captions changed since the tuning was begun.
    """
    run, workdir, tuning = Path(run), Path(workdir), tuning or TuningConfig()
    require_scorers()
    config, bundle = load_config(run / "config.toml"), load_bundle(run / "bundle")
    if not config.training.cached:
        raise ConfigError(f"{run} was trained without a feature cache, which tuning needs; train it with one.")
    _claim(tuning, config, run, workdir)
    keras.utils.set_random_seed(tuning.seed)

    table = read_table(config.corpus)
    folder = config.training.cache or str(run / "features")
    cache = encode_splits(config, folder, bundle.load_backbone(backbone_weights), table, TRAINING_SPLITS, log)
    unreadable = {name: cache.failed[name] for name in table["image"].unique() if name in cache.failed}
    words = segment_corpus(table, Segmenter(bundle.text), unreadable, config.corpus.leave_out)
    captions = collect_captions(words, bundle.tokenizer, bundle.captioner.max_length)
    # Steps here do not scale their loss, without which the gradients of float16 would vanish.
    precision = config.training.precision.replace("mixed_float16", "float32")
    captioner = Captioner(bundle.captioner.settings, dtype=precision)
    captioner.set_weights(bundle.captioner.get_weights())
    tuner = Tuner(captioner, bundle.tokenizer, captions, tuning)

    def save(facts: dict[str, float]) -> None:
        save_bundle(replace(bundle, captioner=captioner, facts=bundle.facts | {"tuning": facts}), workdir / "bundle")

    known = fingerprint(bundle.tokenizer, {"tuning": captions.packed})
    state = RunCheckpoint(captioner, workdir, known, tuning.epochs + 1, save, "val_cider", highest=True)
    state.set_model(SimpleNamespace(optimizer=tuner.optimizer, stop_training=False))
    scores = _validation_scores(config, tuning, captioner, bundle.tokenizer, words, cache, log)
    done = state.restore(state.model) - 1
    if done > 0:
        log(f"Going on after epoch {done} of the tuning in {workdir}.")
    for epoch in range(done, tuning.epochs):
        if len(state.history) > 1 and "val_cider" not in state.history[-1]:
            break
        logs = {}
        if epoch >= 0:
            with explain_damage(folder):
                logs = tuner.run_epoch(cache, 1 + config.training.flips + config.training.crops, epoch)
            log(f"Epoch {epoch + 1}: CIDEr of drawn captions of training images {100 * logs['reward']:.1f}.")
        scores.on_epoch_end(epoch, logs)
        if epoch >= 0 and logs["val_distinct"] < tuning.least_distinct * state.history[0]["val_distinct"]:
            log(
                f"Stopped: {logs['val_distinct']:,.0f} distinct captions are fewer than {tuning.least_distinct:.0%} of "
                f"the {state.history[0]['val_distinct']:,.0f} at the start; this epoch is not used."
            )
            del logs["val_cider"]  # so it cannot be best
        state.on_epoch_end(epoch, logs)
    state.on_train_end()
    state.use_best()
    best = state.history[state.best_epoch]
    save(best)
    log(f"Best epoch {state.best_epoch}: val_cider {best['val_cider']:.1f}. The bundle is in {workdir / 'bundle'}.")
    return load_bundle(workdir / "bundle")


def _claim(tuning: TuningConfig, config: Config, run: Path, workdir: Path) -> None:
    """Writes what is tuned and how, or refuses a workdir that holds another tuning, or the run itself."""
    path = workdir / "tuning.json"
    weights = json.loads((run / "bundle" / "config.json").read_text(encoding="utf-8"))["files"]
    taken = workdir.resolve() == run.resolve()
    if not taken and (workdir / "checkpoint.npz").exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            found = (from_dict(TuningConfig, known["tuning"]), from_dict(Config, known["run"]), known["bundle"])
            taken = found != (tuning, config, weights)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
            taken = True
    if taken:
        raise ConfigError(
            f"{workdir} holds a run, or a tuning of another bundle or with other settings; name another workdir."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    facts = {"tuning": to_dict(tuning), "run": to_dict(config), "bundle": weights}
    write_atomically(path, json.dumps(facts, indent=1))


def _validation_scores(
    config: Config,
    tuning: TuningConfig,
    captioner: Captioner,
    tokenizer: Tokenizer,
    words: SegmentedCorpus,
    cache: FeatureCache,
    log: Callable[[str], None],
) -> CaptionMetrics:
    """Scores of greedy captions of images that are spread over the validation split."""
    references = words.references("val", tuning.score_images)
    if not references:
        raise ConfigError("Tuning needs a validation split, to see whether it helps; the corpus has none.")
    return CaptionMetrics(
        captioner,
        tokenizer,
        cache.load(list(references)),
        references,
        config.text.language,
        DecodingOptions(),
        every=1,
        last=tuning.epochs,
        log=log,
        convert=reference_converter(config.text),
    )
