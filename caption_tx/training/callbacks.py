"""Keras callbacks of a run: sample captions, caption metrics, CSV log, best bundle and early stopping."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from caption_tx.config import DecodingOptions
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.retrieval_index import RetrievalIndex
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.scores import Scores, score
from caption_tx.files import write_atomically
from caption_tx.inference.search.decode import FULL_BATCH_SIZE, decode
from caption_tx.model.captioner import Captioner
from caption_tx.training.checkpoint import RunHistory


class EpochLog(keras.callbacks.Callback):
    """Logs the number of every epoch when it begins, and its seconds and metrics when it ends, as Keras prints them.

    Args:
        log: gets the lines.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__()
        self._log, self._start = log, 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Logs the number of the epoch."""
        self._start = time.monotonic()
        self._log(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Logs the seconds and metrics of the epoch."""
        metrics = [
            f"{name}: {value:.4f}" if abs(value) > 1e-3 else f"{name}: {value:.4e}" for name, value in logs.items()
        ]
        self._log(" - ".join([f"{time.monotonic() - self._start:.0f}s", *metrics]))


@dataclass(frozen=True)
class SampleImages:
    """Images that get sample captions after every epoch.

    Attributes:
        names: names of the images.
        features: float (B, h, w, C).
        references: one true caption of each image, perhaps with its origin; "" for none. Empty if there are none.
    """

    names: Sequence[str]
    features: np.ndarray
    references: Sequence[str] = ()


class SampleCaptions(keras.callbacks.Callback):
    """Captions a few images at several temperatures after every epoch, logs the captions and adds them to a file.

    It works in any `fit` that trains the captioner. In a run it comes after the checkpoint, and `complete` adds what
    a run did not write that was killed between the two.

    Args:
        captioner: the model, or a part of the model, that is trained.
        tokenizer: has the vocabulary of the captioner.
        images: what to caption.
        temperatures: of the samples; 0 is greedy search.
        path: text file; None to write none.
        log: gets the text of each epoch.

    Example:
        >>> images = caption_tx.SampleImages(["dog.jpg"], features)
        >>> samples = caption_tx.SampleCaptions(captioner, tokenizer, images, log=lines.append)
        >>> history = captioner.fit(batches, epochs=1, shuffle=False, callbacks=[samples], verbose=0)
        >>> print(lines[-1])
        Epoch 1, sample captions:
          dog.jpg
            temperature 0 ...
    """

    def __init__(
        self,
        captioner: Captioner,
        tokenizer: Tokenizer,
        images: SampleImages,
        temperatures: Sequence[float] = (0.0, 0.5, 1.0),
        path: str | Path | None = None,
        log: Callable[[str], None] = print,
    ) -> None:
        super().__init__()
        self.captioner, self.tokenizer, self.images = captioner, tokenizer, images
        self.temperatures, self.log = temperatures, log
        self.path = None if path is None else Path(path)

    def complete(self, epochs: int) -> None:
        """Makes the file of a resumed run contain each of its epochs once, given the weights after the last one."""
        if epochs and f"{epochs}" not in self._sections(epochs):
            self.on_epoch_end(epochs - 1)

    def _sections(self, epochs: int) -> dict[str, str]:
        """The complete text of each of the first epochs in the file: number -> text."""
        text = self.path.read_text(encoding="utf-8") if self.path is not None and self.path.exists() else ""
        _, *parts = re.split(r"^Epoch (\d+), sample captions:\n", text, flags=re.MULTILINE)
        sections = dict(zip(parts[::2], parts[1::2], strict=True))
        return {
            number: f"Epoch {number}, sample captions:\n{section}"
            for number, section in sections.items()
            if int(number) <= epochs
        }

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        lines = [f"Epoch {epoch + 1}, sample captions:"]
        rows = range(len(self.images.names))
        by_temperature = {
            temperature: [
                best
                for best, *_ in decode(
                    self.captioner,
                    self.images.features,
                    self.tokenizer,
                    DecodingOptions(temperature=temperature),
                    rows,
                )
            ]
            for temperature in self.temperatures
        }
        references = self.images.references or [""] * len(self.images.names)
        for row, (name, reference) in enumerate(zip(self.images.names, references, strict=True)):
            lines.append(f"  {name}   ({reference})" if reference else f"  {name}")
            for temperature, captions in by_temperature.items():
                text = captions[row].text or "(no words)"
                lines.append(f"    temperature {temperature:<4g} {text}{'' if captions[row].finished else ' ...'}")
        text = "\n".join(lines)
        self.log(text)
        if self.path is not None:
            write_atomically(self.path, "".join(self._sections(epoch).values()) + text + "\n")


@dataclass(frozen=True)
class CaptionScorer:
    """Captions validation images and scores the captions.

    Attributes:
        captioner: the model.
        tokenizer: of the model.
        features: as stored, (B, h, w, C), of the images of `references` in their order.
        references: the captions of each image.
        language: as `score` takes it.
        options: how captions are decoded.
        segmenter: splits a prefix in the options into words.
        index: of a search with `retrieval`.
    """

    captioner: Captioner
    tokenizer: Tokenizer
    features: np.ndarray
    references: Mapping[str, Sequence[str]]
    language: str
    options: DecodingOptions = field(default_factory=DecodingOptions)
    segmenter: Segmenter | None = None
    index: RetrievalIndex | None = None

    def __call__(self) -> Scores | None:
        """The scores of all images; None if the weights give no captions, since they are not finite."""
        texts: list[str] = []
        for start in range(0, len(self.features), FULL_BATCH_SIZE):
            features = dequantize(self.features[start : start + FULL_BATCH_SIZE])  # (B, h, w, C)
            captions = decode(
                self.captioner, features, self.tokenizer, self.options, segmenter=self.segmenter, index=self.index
            )
            if not all(captions):
                return None
            texts += [best.text for best, *_ in captions]
        hypotheses = dict(zip(self.references, texts, strict=True))
        return score(hypotheses, self.references, self.language, characters=False, bootstrap=None)


class CaptionMetrics(keras.callbacks.Callback):
    """Every few epochs, adds the scores of generated captions of the validation images to the logs.

    The metrics are `val_bleu4` and `val_cider` (in words, times 100) and `val_distinct` (number of distinct captions).
    The callback must come before those that read them. The first worker computes the scores for all workers.

    Args:
        scorer: None on all workers but the first.
        every: epochs between two scorings.
        last_epoch: number of the last epoch, which is always scored.
        log: gets one line for each scoring.
        broadcast: `Distribution.broadcast`.
    """

    NAMES = ("val_bleu4", "val_cider", "val_distinct")

    def __init__(
        self,
        scorer: CaptionScorer | None,
        every: int,
        last_epoch: int,
        log: Callable[[str], None],
        broadcast: Callable[[Sequence[float]], list[float]] = list,
    ) -> None:
        super().__init__()
        self.scorer, self.every, self.last_epoch = scorer, every, last_epoch
        self.log, self.broadcast = log, broadcast

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every and epoch + 1 != self.last_epoch:
            return
        values = self.broadcast([0.0] * len(self.NAMES) if self.scorer is None else self._score(self.scorer, epoch))
        if logs is not None:
            logs.update(zip(self.NAMES, values, strict=True))

    def _score(self, scorer: CaptionScorer, epoch: int) -> list[float]:
        scores = scorer()
        if scores is None:
            raise CaptionTxError(
                f"The model cannot generate captions after epoch {epoch + 1}, since its weights are not finite; lower "
                "the learning rate. The checkpoint of the previous epoch is kept."
            )
        statistics = scores.statistics
        self.log(
            f"Epoch {epoch + 1}, scores of {statistics.images:,} validation images: BLEU-4 {scores['bleu4']:.1f}, "
            f"CIDEr {scores['cider']:.1f} ({scores.protocol.label}), {statistics.distinct:,} distinct captions, "
            f"{statistics.mean_length:.2f} words on average (references {statistics.reference_length:.2f})."
        )
        return [scores["bleu4"], scores["cider"], statistics.distinct]


class CsvLog(keras.callbacks.Callback):
    """Writes the history of a run, that of resumed runs too, as one row per epoch."""

    def __init__(self, history: RunHistory, path: Path) -> None:
        super().__init__()
        self._history, self._path = history, path

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the file; a resumed run calls this too, since a kill may have come before it."""
        write_atomically(self._path, pd.DataFrame(self._history.epochs).to_csv(index=False))


class SaveBest(keras.callbacks.Callback):
    """Calls `save` with the logs of every epoch that is the best so far."""

    def __init__(self, history: RunHistory, save: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._history, self._save = history, save

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._history.improved:
            self._save(self._history.epochs[-1])


class EarlyStopping(keras.callbacks.Callback):
    """Stops training once the history has not improved for `patience` epochs."""

    def __init__(self, history: RunHistory) -> None:
        super().__init__()
        self._history = history

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.stop_training = self.model.stop_training or self._history.stopped
