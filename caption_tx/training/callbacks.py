"""Keras callbacks: sample captions while training, and the state of a run on disk."""

from __future__ import annotations

import io
import json
import math
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from caption_tx.config import DecodingOptions
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.scores import score
from caption_tx.files import write_atomically
from caption_tx.inference.search.decode import FULL_BATCH_SIZE, decode
from caption_tx.model.captioner import Captioner


class SampleCaptions(keras.callbacks.Callback):
    """After every epoch, captions of the chosen images at several temperatures, printed and kept in a file.

    Args:
        features: float (B, h, w, C) of the images called `names`; `references` says a true caption
            of each and who wrote it.
    """

    def __init__(
        self,
        captioner: Captioner,
        tokenizer: Tokenizer,
        names: Sequence[str],
        features: np.ndarray,
        references: Sequence[str],
        temperatures: Sequence[float],
        path: Path,
        log: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.captioner, self.tokenizer = captioner, tokenizer
        self.names, self.features, self.references = names, features, references
        self.temperatures, self.path, self.log = temperatures, path, log

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        lines = [f"Epoch {epoch + 1}, sample captions:"]
        rows = range(len(self.names))
        by_temperature = {
            value: [
                best
                for best, *_ in decode(
                    self.captioner, self.features, self.tokenizer, DecodingOptions(temperature=value), rows
                )
            ]
            for value in self.temperatures
        }
        for row, (name, reference) in enumerate(zip(self.names, self.references, strict=True)):
            lines.append(f"  {name}   ({reference})")
            for value, captions in by_temperature.items():
                text = captions[row].text or "(no words)"
                lines.append(f"    temperature {value:<4g} {text}{'' if captions[row].finished else ' ...'}")
        text = "\n".join(lines)
        self.log(text)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text + "\n")


class CaptionMetrics(keras.callbacks.Callback):
    """Every few epochs, the scores of captions that the model makes by itself, among the logs of the epoch.

    It adds `val_bleu4` and `val_cider` (in words, times 100) and `val_distinct` (captions that differ), so it
    stands before the callbacks that are to see them. The first worker captions and scores; all get its numbers.

    Args:
        features: as stored, (B, h, w, C), of the images of `references` in their order; None on other
            workers than the first.
        references: the captions of each image.
        language: as `score` takes it.
        every: epochs from one scoring to the next; the epoch number `last` is scored in any case.
        broadcast: `Distribution.broadcast`.
        convert: brings references into the letters of the model's captions (`protocol.conversion`).
    """

    NAMES = ("val_bleu4", "val_cider", "val_distinct")

    def __init__(
        self,
        captioner: Captioner,
        tokenizer: Tokenizer,
        features: np.ndarray | None,
        references: Mapping[str, Sequence[str]],
        language: str,
        options: DecodingOptions,
        every: int,
        last: int,
        log: Callable[[str], None],
        broadcast: Callable[[Sequence[float]], list[float]] = list,
        convert: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__()
        self.captioner, self.tokenizer, self.features = captioner, tokenizer, features
        self.references, self.language, self.options = references, language, options
        if convert is not None:
            self.references = {name: [convert(text) for text in texts] for name, texts in references.items()}
        self.every, self.last, self.log, self.broadcast = every, last, log, broadcast

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every and epoch + 1 != self.last:
            return
        values = self.broadcast([0.0] * len(self.NAMES) if self.features is None else self._scores(epoch))
        if logs is not None:
            logs.update(zip(self.NAMES, values, strict=True))

    def _scores(self, epoch: int) -> list[float]:
        captions: list[str] = []
        for start in range(0, len(self.features), FULL_BATCH_SIZE):
            features = dequantize(self.features[start : start + FULL_BATCH_SIZE])
            found = decode(self.captioner, features, self.tokenizer, self.options)
            if not all(found):
                raise CaptionTxError(
                    f"No caption can be searched after epoch {epoch + 1}, since weights are no numbers any more; lower "
                    "the learning rate. The checkpoint of the epoch before is kept."
                )
            captions += [best.text for best, *_ in found]
        hypotheses = dict(zip(self.references, captions, strict=True))
        scores = score(hypotheses, self.references, self.language, characters=False, bootstrap=None)
        stats = scores.statistics
        self.log(
            f"Epoch {epoch + 1}, scores of {stats.images:,} validation images: BLEU-4 {scores['bleu4']:.1f}, CIDEr "
            f"{scores['cider']:.1f}, {stats.distinct:,} distinct captions, {stats.mean_length:.2f} words on average "
            f"(references {stats.reference_length:.2f})."
        )
        return [scores["bleu4"], scores["cider"], stats.distinct]


def curves_figure(history: pd.DataFrame) -> Figure:
    """Loss and accuracy by epoch, of training and validation, and scores where there are some.

    Columns as Keras logs them, plus `epoch`; a panel for what there is.
    """
    dropped = "training (with dropout)"
    panels = {
        "loss per token (nats)": ("token_loss", dropped, "val_token_loss", "validation"),
        "token accuracy": ("accuracy", dropped, "val_accuracy", "validation"),
        "reward, CIDEr-D in [0, 10]": ("reward", "drawn captions, training", None, None),
        "validation, times 100": ("val_cider", "CIDEr", "val_bleu4", "BLEU-4"),
    }
    panels = {label: lines for label, lines in panels.items() if lines[0] in history or lines[2] in history}
    figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
    axes_of = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, (*first, other, title)) in zip(axes_of, panels.items(), strict=True):
        for column, name in (first, (other, title)):
            if column in history:
                there = history[history[column].notna()]
                axes.plot(there["epoch"], there[column], marker="o", label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


CURVES_EVERY = 5.0
"""Seconds between two drawings of the curves, which take half a second."""


class RunCheckpoint(keras.callbacks.Callback):
    """Checkpoint, early stopping and logs of one run, so that a killed run goes on where it was.

    After every epoch one file is replaced as a whole: the weights, the optimizer with its place in the
    schedule, the best weights so far, and the history. `log.csv` is written from it, and `curves.png` drawn: where
    epochs are short, not after each, but at the end in any case.

    Args:
        captioner: whose weights are kept.
        monitor: the log by which epochs are compared; one without it cannot be best.
        highest: whether its highest value is best, and not its smallest.
        patience: epochs without a better value before training stops, counted from `patient_from`
            (an epoch's index) on: before it, training does not stop.
        on_best: called with the logs whenever the value is a new best.
        writes: False for a worker that decides as the others do, but leaves all files to the first.
    """

    def __init__(
        self,
        captioner: Captioner,
        workdir: Path,
        fingerprint: str,
        patience: int,
        on_best: Callable[[dict[str, Any]], None],
        monitor: str = "val_token_loss",
        patient_from: int = 0,
        writes: bool = True,
        highest: bool = False,
    ) -> None:
        super().__init__()
        self.captioner, self.workdir, self.fingerprint, self.highest = captioner, workdir, fingerprint, highest
        self.patience, self.on_best, self.monitor = patience, on_best, monitor
        self.patient_from, self.writes = patient_from, writes
        self.path = workdir / "checkpoint.npz"
        self.history: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []
        self.stopped = False
        self._drawn, self._drawn_at = 0, -math.inf

    @property
    def best_epoch(self) -> int | None:
        """Index into the history of the best epoch, or None where none can be compared yet.

        Losses on training captions cannot be compared between stages: the last stage's count, once it began.
        """
        first = self.patient_from if len(self.history) > self.patient_from else 0
        first = 0 if self.monitor.startswith("val_") else first
        found = [epoch for epoch in range(first, len(self.history)) if self.monitor in self.history[epoch]]
        sign = -1 if self.highest else 1
        return min(found, key=lambda epoch: sign * self.history[epoch][self.monitor]) if found else None

    def restore(self, model: keras.Model) -> int:
        """Loads the checkpoint, if there is one, into a model whose optimizer is built; returns the epochs done.

        Raises:
            CaptionTxError: the checkpoint is damaged, or of a run with other settings or captions.
        """
        if not self.path.exists():
            return 0
        try:
            # Opened here, since np.load leaves a damaged file open.
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
            raise CaptionTxError(
                f"{self.workdir} holds a run on other captions or with another vocabulary; name another workdir."
            )
        for variables, kind in ((self.captioner.variables, "model"), (model.optimizer.variables, "optimizer")):
            for variable, value in zip(variables, arrays[kind], strict=True):
                variable.assign(value)
        self.history, self.best, self.stopped = state["history"], arrays["best"], state["stopped"]
        return len(self.history)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {name: float(value) for name, value in (logs or {}).items()}
        watched = ("loss", "val_token_loss", self.monitor)
        bad = [name for name in watched if name in logs and not np.isfinite(logs[name])]
        if bad:
            raise CaptionTxError(
                f"{bad[0]} is {logs[bad[0]]} after epoch {epoch + 1}; lower training.learning_rate. "
                "The checkpoint of the epoch before is kept."
            )
        self.history.append({"epoch": epoch + 1, **logs})
        improved = self.best_epoch == len(self.history) - 1
        if improved:
            self.best = self.captioner.get_weights()
        waiting_since = max(self.best_epoch or 0, self.patient_from - 1)
        self.stopped = len(self.history) - 1 - waiting_since >= self.patience
        if self.writes:
            self._save()
            write_atomically(self.workdir / "log.csv", pd.DataFrame(self.history).to_csv(index=False))
            if time.monotonic() - self._drawn_at > CURVES_EVERY:
                self._draw_curves()
            if improved:
                self.on_best(self.history[-1])
        self.model.stop_training = self.model.stop_training or self.stopped

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.writes and len(self.history) > self._drawn:
            self._draw_curves()

    def use_best(self) -> None:
        """Gives the captioner its best weights."""
        if self.best:
            self.captioner.set_weights(self.best)

    def _save(self) -> None:
        kinds = {
            "model": [variable.numpy() for variable in self.captioner.variables],
            "optimizer": [variable.numpy() for variable in self.model.optimizer.variables],
            "best": self.best,
        }
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "stopped": self.stopped,
            **{kind: len(values) for kind, values in kinds.items()},
        }
        arrays = {f"{kind}{i}": value for kind, values in kinds.items() for i, value in enumerate(values)}
        buffer = io.BytesIO()
        np.savez(buffer, state=np.array(json.dumps(state)), **arrays)
        write_atomically(self.path, buffer.getvalue())

    def _draw_curves(self) -> None:
        buffer = io.BytesIO()
        curves_figure(pd.DataFrame(self.history)).savefig(buffer, format="png", dpi=110)
        write_atomically(self.workdir / "curves.png", buffer.getvalue())
        self._drawn, self._drawn_at = len(self.history), time.monotonic()
