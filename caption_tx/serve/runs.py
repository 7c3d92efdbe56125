"""A training run as its files show it: epochs, scores, sample captions, and maps of the sample images so far."""

from __future__ import annotations

import csv
import functools
import math
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from caption_tx.bundle_config import CONFIG, VOCABULARY
from caption_tx.config import Config, load_config
from caption_tx.data.images.sources import open_images
from caption_tx.errors import BundleError, ConfigError, ImageError
from caption_tx.escaping import printable
from caption_tx.inference.captioner import load
from caption_tx.serve.drawing import PageFont
from caption_tx.serve.models import ServedBundle

_SECTION = re.compile(r"^Epoch (\d+), sample captions:\n", re.MULTILINE)
_IMAGE = re.compile(r"  (?! )(.*?)   \((.*)\)")
_CAPTION = re.compile(r"    temperature (\S+) +(.*)")
_CUT, _EMPTY = " ...", "(no words)"


class TrainingRun:
    """The files of a run, which may be training. Nothing is written.

    Args:
        folder: workdir of the run.
        backbone_weights: as for `caption_tx.load`.

    Attributes:
        name: of the folder.
        config: the settings of the run.

    Raises:
        ConfigError: the folder has no run.

    Example:
        >>> TrainingRun("runs/mine").document()["epochs"][-1]["val_loss"]
        3.04
    """

    def __init__(self, folder: str | Path, backbone_weights: str | None = None) -> None:
        self.folder, self._backbone_weights = Path(folder), backbone_weights
        path = self.folder / "config.toml"
        if not path.is_file():
            raise ConfigError(f"{folder} is not a training run: it has no config.toml; name the workdir of a run.")
        self.name = self.folder.absolute().name
        self.config: Config = load_config(path)
        self._bundle: tuple[int, ServedBundle] | None = None
        self._lock = threading.Lock()

    @property
    def has_bundle(self) -> bool:
        """Whether the run has saved a bundle yet."""
        return (self.folder / "bundle" / CONFIG).is_file()

    def document(self) -> dict[str, Any]:
        """The state of the run, ready for JSON.

        Returns:
            "name", "planned": the number of epochs, "epochs": the columns of log.csv, "samples": the sample captions
            of each epoch, "bundle": whether there is a bundle, "font": the version of `font`.
        """
        return {
            "name": printable(self.name),
            "planned": self.config.training.epochs,
            "epochs": read_log(self._read("log.csv")),
            "samples": read_samples(self._read("samples.txt")),
            "bundle": self.has_bundle,
            "font": self.font().version,
        }

    def font(self) -> PageFont:
        """The font of its page: it has the characters of its sample captions and of the words of its bundle so far."""
        texts = self._read("samples.txt") + self._read(f"bundle/{VOCABULARY}") + self.name
        return _font_of(frozenset(texts))

    def _read(self, name: str) -> str:
        """The text of a file, or "" if the run has not written it yet."""
        with suppress(OSError):
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        return ""

    def sample(self, name: str) -> tuple[bytes, str]:
        """A sample image of the last epoch: its bytes and its best caption.

        Raises:
            ImageError: the run has no such sample, or the image cannot be read.
        """
        samples = read_samples(self._read("samples.txt"))
        for image in samples[-1]["images"] if samples else ():
            if image["name"] == name:
                data = open_images(self.config.corpus.images).read_bytes(name)
                return data, image["captions"][0]["text"] if image["captions"] else ""
        raise ImageError(f"The run has no sample image '{printable(name)[:80]}'.")

    def bundle(self) -> ServedBundle:
        """The best bundle so far; it is loaded again after the run has replaced it.

        Raises:
            BundleError: there is none yet, or it is damaged.
        """
        with self._lock:
            try:
                version = (self.folder / "bundle" / CONFIG).stat().st_mtime_ns
            except OSError:
                raise BundleError(f"The run {self.name} has not saved a bundle yet.") from None
            if self._bundle is None or self._bundle[0] != version:
                captioner = load(self.folder / "bundle", self._backbone_weights)
                if self._bundle is not None:
                    captioner.backbone = self._bundle[1].captioner.backbone
                self._bundle = version, ServedBundle(self.name, captioner)
            return self._bundle[1]


@functools.lru_cache(maxsize=4)
def _font_of(characters: frozenset[str]) -> PageFont:
    return PageFont([["".join(sorted(characters))]])


def read_log(text: str) -> list[dict[str, float]]:
    """The rows of a log.csv; values that are missing or not finite are left out.

    Example:
        >>> read_log("epoch,val_loss,val_cider\\n1,3.5,\\n")
        [{'epoch': 1.0, 'val_loss': 3.5}]
    """
    rows = []
    for row in csv.DictReader(text.splitlines()):
        values = {}
        for name, value in row.items():
            with suppress(ValueError, TypeError):
                if name and math.isfinite(number := float(value)):
                    values[name] = number
        if "epoch" in values:
            rows.append(values)
    return rows


def read_samples(text: str) -> list[dict[str, Any]]:
    """The sample captions in a samples.txt by epoch.

    Returns:
        For each epoch its number and its "images": "name", "reference" and "captions", each with its "temperature",
        its "text" and whether it is "finished".
    """
    _, *parts = _SECTION.split(text)
    return [
        {"epoch": int(number), "images": _read_images(section.splitlines())}
        for number, section in zip(parts[::2], parts[1::2], strict=True)
    ]


def _read_images(lines: Sequence[str]) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = []
    for line in lines:
        if (found := _CAPTION.fullmatch(line)) and images:
            caption = found[2].removesuffix(_CUT)
            text = "" if caption == _EMPTY else caption
            entry = {"temperature": found[1], "text": text, "finished": caption == found[2]}
            images[-1]["captions"].append(entry)
        elif found := _IMAGE.fullmatch(line):
            images.append({"name": found[1], "reference": found[2], "captions": []})
    return images
