"""The history and the checkpoint of a run, so that a killed run can be resumed."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from caption_tx.errors import CaptionTxError
from caption_tx.files import write_atomically
from caption_tx.model.captioner import Captioner


def monitored_metric(monitor: str, has_validation: bool) -> str:
    """Name of the metric that compares epochs for a `training.monitor`; "epoch", their number, if the last is kept."""
    if monitor == "last":
        return "epoch"
    if monitor != "loss":
        return f"val_{monitor}"
    return "val_token_loss" if has_validation else "token_loss"


@dataclass
class RunHistory:
    """The metrics of all finished epochs, which of them is best, and whether training should stop.

    Attributes:
        monitor: name of the metric that compares epochs; an epoch without it cannot be the best.
        patience: epochs without improvement after which training stops.
        first_epoch: index of the first epoch that counts toward patience, the start of the last stage.
        maximize: whether the highest value is best, not the lowest.
        epochs: the logs of each epoch; "epoch" counts from 1.
    """

    monitor: str = "val_token_loss"
    patience: int = 1
    first_epoch: int = 0
    maximize: bool = False
    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_epoch(self) -> int | None:
        """Index of the best epoch, or None if no epoch has the metric.

        Training losses of different stages cannot be compared: only the last stage counts, once it has begun.
        """
        first = self.first_epoch if len(self.epochs) > self.first_epoch else 0
        first = 0 if self.monitor.startswith("val_") else first
        comparable = [epoch for epoch in range(first, len(self.epochs)) if self.monitor in self.epochs[epoch]]
        sign = -1 if self.maximize else 1
        return min(comparable, key=lambda epoch: sign * self.epochs[epoch][self.monitor], default=None)

    @property
    def improved(self) -> bool:
        """Whether the last epoch is the best."""
        return bool(self.epochs) and self.best_epoch == len(self.epochs) - 1

    @property
    def stopped(self) -> bool:
        """Whether the last `patience` epochs brought no improvement."""
        waiting_since = max(self.best_epoch or 0, self.first_epoch - 1)
        return len(self.epochs) - 1 - waiting_since >= self.patience


class RunCheckpoint(keras.callbacks.Callback):
    """Saves the state of a run after every epoch in one file, which is replaced atomically.

    The checkpoint contains the weights, the optimizer with its step in the schedule, the best weights so far, and the
    history. This callback appends to the history, so it comes before the callbacks that read it, and after those that
    add to the logs.

    Args:
        captioner: the model whose weights are saved.
        history: gets the logs of each epoch.
        path: the file.
        fingerprint: identifies the captions, the vocabulary and the initial bundle; a checkpoint with another one is
            rejected.
        writes: False for a worker that only keeps the history and the best weights in memory.
        vocabulary: the words of the captions; where a checkpoint is rejected, the error says how they differ.
    """

    def __init__(
        self,
        captioner: Captioner,
        history: RunHistory,
        path: Path,
        fingerprint: str,
        writes: bool = True,
        vocabulary: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.captioner, self.history, self.path = captioner, history, path
        self.fingerprint, self.writes, self.vocabulary = fingerprint, writes, vocabulary
        self.best_weights: list[np.ndarray] = []

    def restore(self, model: keras.Model) -> int:
        """Loads the checkpoint, if there is one, into a model whose optimizer is built; returns the epochs done.

        Raises:
            CaptionTxError: the checkpoint is damaged, or belongs to a run on other captions or from another bundle.
        """
        if not self.path.exists():
            return 0
        try:
            # np.load would leave a damaged file open.
            with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                state = json.loads(str(stored["state"]))
                arrays = {
                    kind: [stored[f"{kind}{i}"] for i in range(state[kind])] for kind in ("model", "optimizer", "best")
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CaptionTxError(
                f"The checkpoint {self.path} is damaged ({error}); delete it to train from the start."
            ) from error
        if state["fingerprint"] != self.fingerprint:
            difference = _describe_difference(self.path.parent, state["fingerprint"], self.fingerprint, self.vocabulary)
            raise CaptionTxError(f"{self.path.parent} contains a run {difference}; choose another workdir.")
        for variables, kind in ((self.captioner.variables, "model"), (model.optimizer.variables, "optimizer")):
            for variable, value in zip(variables, arrays[kind], strict=True):
                variable.assign(value)
        self.history.epochs, self.best_weights = state["history"], arrays["best"]
        return len(self.history.epochs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {name: float(value) for name, value in (logs or {}).items()}
        checked = ("loss", "val_token_loss", self.history.monitor)
        bad = [name for name in checked if name in logs and not np.isfinite(logs[name])]
        if bad:
            raise CaptionTxError(
                f"{bad[0]} is {logs[bad[0]]} after epoch {epoch + 1}; lower training.learning_rate. "
                "The checkpoint of the previous epoch is kept."
            )
        self.history.epochs.append({"epoch": epoch + 1, **logs})
        if self.history.improved:
            self.best_weights = self.captioner.get_weights()
        if self.writes:
            self._save()

    def load_best_weights(self) -> None:
        """Sets the captioner's weights to those of the best epoch."""
        if self.best_weights:
            self.captioner.set_weights(self.best_weights)

    def _save(self) -> None:
        kinds = {
            "model": [variable.numpy() for variable in self.captioner.variables],
            "optimizer": [variable.numpy() for variable in self.model.optimizer.variables],
            "best": self.best_weights,
        }
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history.epochs,
            "stopped": self.history.stopped,
            **{kind: len(values) for kind, values in kinds.items()},
        }
        arrays = {f"{kind}{i}": value for kind, values in kinds.items() for i, value in enumerate(values)}
        buffer = io.BytesIO()
        np.savez(buffer, state=np.array(json.dumps(state)), **arrays)
        write_atomically(self.path, buffer.getvalue())


def _describe_difference(workdir: Path, stored: str, own: str, vocabulary: Sequence[str]) -> str:
    """What differs between a run and its workdir, as far as its fingerprint and its bundle tell."""
    (stored_data, _, stored_init), (data, _, init) = stored.partition(" "), own.partition(" ")
    found = []
    if stored_init != init:
        found.append("from another initial bundle (training.init has other contents now)")
    copies = [_read(folder / "user_dictionary.txt") for folder in (workdir / "bundle", workdir)]
    has_bundle = bool(words := (_read(workdir / "bundle" / "vocabulary.txt") or b"").decode("utf-8", "replace"))
    other_dictionary = bool(vocabulary) and has_bundle and copies[0] != copies[1]
    if stored_data != data and other_dictionary:
        found.append("with another user dictionary (text.user_dictionary has other contents now)")
    known, now = set(words.split("\n")) - {""}, set(vocabulary)
    if stored_data != data and has_bundle and now and known != now:
        counts = f"{len(now - known):,} words are new and {len(known - now):,} gone"
        example = next((word for word in vocabulary if word not in known), min(known - now, default=""))
        found.append(f"with another vocabulary ({counts}, such as {example!r})")
    if stored_data != data and not other_dictionary:
        found.append("on other captions or images (the files have other contents now)")
    return " and ".join(found)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
