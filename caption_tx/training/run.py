"""The context of a run, and the files that it writes before training."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from caption_tx.bundle import Bundle, recover_bundle
from caption_tx.config import (
    NAMED_WEIGHTS,
    Config,
    TextConfig,
    TrainingConfig,
    dump_config,
    load_config,
    parse_source,
    to_dict,
)
from caption_tx.data.text.user_dictionary import dictionary_as_text
from caption_tx.errors import ConfigError
from caption_tx.escaping import escape_formula
from caption_tx.files import remove_leftovers, write_atomically
from caption_tx.training.distribution import Distribution
from caption_tx.training.schedule import plan_stages
from caption_tx.training.training_model import resolve_precision

_OLDER = Config(training=TrainingConfig(schedule="run"))
"""The values of settings that a config.toml of an older version lacks."""

_PATHS = frozenset({
    "corpus.sources", "corpus.images", "text.user_dictionary", "text.word_vectors", "backbone.weights",
    "training.cache", "training.init", "boxes.sources", "boxes.word_list",
})  # fmt: skip
"""Settings that name files or folders."""


@dataclass(frozen=True)
class RunContext:
    """What every step of a run needs.

    Attributes:
        config: the settings.
        workdir: folder of the run.
        distribution: the devices and workers.
        log: gets lines of text; silent on all workers but the chief.
        initial: the bundle that a new run starts from; None for random weights.
        verbose: log the layers of the model too.
        callbacks: further Keras callbacks, from the user.
    """

    config: Config
    workdir: Path
    distribution: Distribution
    log: Callable[[str], None]
    initial: Bundle | None = None
    verbose: bool = False
    callbacks: tuple[keras.callbacks.Callback, ...] = ()


def open_workdir(run: RunContext) -> RunContext:
    """Creates the workdir, or checks that it belongs to this run; returns the run with its settings as they are there.

    The chief, which holds the lock of the workdir, first removes what a killed run left.

    Raises:
        ConfigError: the workdir contains a run with other settings, the workers have different settings, or the
            precision does not work on several devices.
    """
    distribution = run.distribution
    distribution.assert_same("settings", dump_config(run.config))
    if distribution.is_chief:
        if run.workdir.is_dir():
            remove_leftovers(run.workdir, locked=True)
            recover_bundle(run.workdir / "bundle", locked=True)
        claim_workdir(run.config, run.workdir, run.log)
    distribution.barrier()
    # A resumed run keeps its precision, even on another processor.
    resumed = _resumed_settings(run.config.resolved(), run.workdir, _discard)
    training = (resumed or load_config(run.workdir / "config.toml", _OLDER)).training
    if distribution.is_distributed:
        if training.precision == "mixed_float16":
            raise ConfigError(
                "training.precision mixed_float16 scales the loss separately on each device, so it supports one device "
                "only; use mixed_bfloat16 on several."
            )
        run.log(
            f"Each batch is divided; workers: {distribution.world_size}, devices per worker: "
            f"{distribution.num_devices}."
        )
    return replace(run, config=replace(run.config, training=training))


def _discard(text: str) -> None:
    """The log of what the chief has logged already."""


def claim_workdir(config: Config, workdir: Path, log: Callable[[str], None] = print) -> None:
    """Writes the settings of a new run, with "auto" precision resolved, into its workdir.

    A run may be resumed with more epochs and another patience, which `store_settings` writes later.

    Raises:
        ConfigError: the workdir contains a run with other settings.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    config = config.resolved()
    if _resumed_settings(config, workdir, log) is None:
        precision = resolve_precision() if config.training.precision == "auto" else config.training.precision
        config = replace(config, training=replace(config.training, precision=precision))
        write_atomically(workdir / "config.toml", dump_config(config))


def store_settings(run: RunContext) -> None:
    """Replaces the settings of a resumed run in its workdir, if they changed.

    Called once nothing can reject the run any more, such as other captions: a command that is rejected must leave the
    settings as they are, or the old command could not resume the run.
    """
    path = run.workdir / "config.toml"
    existing, config = load_config(path, _OLDER), run.config.resolved()
    if run.distribution.is_chief and describe_differences(_with_planned_stages(existing, existing), config):
        write_atomically(path, dump_config(config))


def _resumed_settings(config: Config, workdir: Path, log: Callable[[str], None]) -> Config | None:
    """The settings to resume the run of a workdir with; None if it has no checkpoint.

    Raises:
        ConfigError: the run has other settings.
    """
    path = workdir / "config.toml"
    if not path.exists() or not (workdir / "checkpoint.npz").exists():
        return None
    existing = load_config(path, _OLDER)
    existing = _with_planned_stages(existing, existing)
    precision = existing.training.precision if config.training.precision == "auto" else config.training.precision
    resolved = replace(config, training=replace(config.training, precision=precision))
    resolved = _with_planned_stages(resolved, existing)
    if len(_stages(existing)) == 1:  # both schedules are the same
        resolved = replace(resolved, training=replace(resolved.training, schedule=existing.training.schedule))
    before, now = existing.training.epochs, resolved.training.epochs
    changed = describe_differences(existing, resolved)
    may_change = {"training.patience"} | ({"training.epochs"} if now > before else set())
    if rejected := [text for name, text in changed.items() if name not in may_change]:
        raise ConfigError(
            f"{workdir} contains a run with other settings: {', '.join(rejected)}; use the settings in {path} "
            "to resume it, or choose another workdir. Only training.epochs (upward) and training.patience may change."
        )
    if now > before:
        log(
            f"The run has {now} epochs now instead of {before}: the learning rate continues where it would be in a run "
            f"of {now} epochs."
        )
    return resolved


def _with_planned_stages(config: Config, existing: Config) -> Config:
    """The settings with the epochs of the earlier stages of the run, which do not change when it gets more epochs."""
    if config.training.stage_epochs:
        return config
    planned = plan_stages(existing.training, dict.fromkeys(_stages(existing), 1))
    epochs = tuple(stage.end - stage.begin for stage in planned[:-1])
    if sum(epochs) >= config.training.epochs:
        return config
    return replace(config, training=replace(config.training, stage_epochs=epochs))


def _stages(config: Config) -> set[int]:
    return {parse_source(source).stage for source in config.corpus.sources} or {1}


def describe_differences(before: Config, now: Config) -> dict[str, str]:
    """The settings that differ: name -> "name (value before, now value)". Two spellings of a path do not differ."""
    tables = [
        {f"{group}.{name}": value for group, values in to_dict(config).items() for name, value in values.items()}
        for config in (before, now)
    ]
    texts = [{name: str(value) for name, value in table.items()} for table in tables]
    return {
        name: f"{name} ({texts[0].get(name, 'not set')[:60]}, now {texts[1].get(name, 'not set')[:60]})"
        for name in dict.fromkeys([*tables[0], *tables[1]])
        if _same_form(name, tables[0].get(name)) != _same_form(name, tables[1].get(name))
    }


def _same_form(name: str, value: Any) -> Any:
    """The value of a setting, with local paths absolute and without a slash at the end."""
    if isinstance(value, list | tuple):
        return [_same_form(name, item) for item in value]
    if name not in _PATHS or not value or (name == "backbone.weights" and value in NAMED_WEIGHTS):
        return value
    path, options = (value, None) if name != "corpus.sources" else ((source := parse_source(value)).path, source)
    path = path.rstrip("/") if "://" in path else os.path.abspath(path)
    return path if options is None else replace(options, path=path)


def weights_file(config: Config) -> str | None:
    """The weights file that the user's settings name, if it exists on this machine. A bundle cannot name one."""
    weights = config.backbone.weights
    return weights if os.path.isfile(weights) else None


def copy_user_dictionary(text: TextConfig, workdir: Path) -> TextConfig:
    """Copies the user dictionary into the workdir, for the bundles of this run; returns settings with its new path."""
    if text.user_dictionary is None:
        return text
    copy = workdir / "user_dictionary.txt"
    write_atomically(copy, dictionary_as_text(text.user_dictionary))
    return replace(text, user_dictionary=str(copy))


def report_left_out(left_out: pd.DataFrame, path: Path, log: Callable[[str], None]) -> None:
    """Writes what training leaves out to a CSV file, and logs the counts by reason."""
    if not len(left_out):
        path.unlink(missing_ok=True)
        return
    cells = left_out.map(lambda value: escape_formula(value) if isinstance(value, str) else value)
    write_atomically(path, cells.to_csv(index=False))
    reasons = left_out["reason"].str.partition(":")[0].value_counts()
    counts = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    log(f"Left out {len(left_out):,} lines, captions and images ({counts}); see {path}.")
