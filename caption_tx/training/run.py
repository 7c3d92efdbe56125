"""The context of a run, and the files that it writes before training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from caption_tx.config import Config, TextConfig, dump_config, load_config
from caption_tx.errors import ConfigError
from caption_tx.files import write_atomically
from caption_tx.training.distribution import Distribution
from caption_tx.training.training_model import resolve_precision


@dataclass(frozen=True)
class RunContext:
    """What every step of a run needs.

    Attributes:
        config: the settings.
        workdir: folder of the run.
        distribution: the devices and workers.
        log: gets lines of text; silent on all workers but the chief.
    """

    config: Config
    workdir: Path
    distribution: Distribution
    log: Callable[[str], None]


def open_workdir(run: RunContext) -> str:
    """Creates the workdir, or checks that it belongs to this run; returns the precision of the run.

    Raises:
        ConfigError: the workdir contains a run with other settings, the workers have different settings, or the
            precision does not work on several devices.
    """
    distribution = run.distribution
    distribution.assert_same("settings", dump_config(run.config))
    if distribution.is_chief:
        claim_workdir(run.config, run.workdir)
    distribution.barrier()
    # A resumed run keeps its precision, even on another processor.
    precision = load_config(run.workdir / "config.toml").training.precision
    if distribution.is_distributed:
        if precision == "mixed_float16":
            raise ConfigError(
                "training.precision mixed_float16 scales the loss separately on each device, so it supports one device "
                "only; use mixed_bfloat16 on several."
            )
        run.log(
            f"Each batch is divided; workers: {distribution.world_size}, devices per worker: "
            f"{distribution.num_devices}."
        )
    return precision


def claim_workdir(config: Config, workdir: Path) -> None:
    """Writes the settings of a new run, with "auto" precision resolved, into its workdir.

    Raises:
        ConfigError: the workdir contains a run with other settings.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    path, precision = workdir / "config.toml", config.training.precision
    existing = load_config(path) if path.exists() and (workdir / "checkpoint.npz").exists() else None
    if precision == "auto":
        precision = existing.training.precision if existing else resolve_precision()
    resolved = replace(config, training=replace(config.training, precision=precision))
    if existing is None:
        write_atomically(path, dump_config(resolved))
    elif existing != resolved:
        raise ConfigError(
            f"{workdir} contains a run with other settings (see {path}); use the same settings to resume it, or "
            "choose another --workdir."
        )


def copy_user_dictionary(text: TextConfig, workdir: Path) -> TextConfig:
    """Copies the user dictionary into the workdir, for the bundles of this run; returns settings with its new path."""
    if text.user_dictionary is None:
        return text
    copy = workdir / "user_dictionary.txt"
    write_atomically(copy, Path(text.user_dictionary).read_bytes())
    return replace(text, user_dictionary=str(copy))


def report_left_out(left_out: pd.DataFrame, path: Path, log: Callable[[str], None]) -> None:
    """Writes what training leaves out to a CSV file, and logs the counts by reason."""
    if not len(left_out):
        path.unlink(missing_ok=True)
        return
    write_atomically(path, left_out.to_csv(index=False))
    reasons = left_out["reason"].str.partition(":")[0].value_counts()
    counts = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    log(f"Left out {len(left_out):,} lines, captions and images ({counts}); see {path}.")
