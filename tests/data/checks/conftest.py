"""Fixtures for corpora with problems in their captions and images."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from caption_tx.config import TextConfig
from caption_tx.data.checks.corpus_checks import check_corpus
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.text.segmentation import Segmenter


@pytest.fixture
def corpus(tmp_path):
    """Writes a CSV of (image, caption[, split]) rows and returns its table."""

    def write(*rows, name="captions.csv", **options):
        with open(tmp_path / name, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("image", "caption", "split"), *((*row, "train")[:3] for row in rows)])
        return read_corpus(tmp_path / name, **options)

    return write


class FixedSegmenter:
    """Returns one list of words after the other, whatever the captions."""

    def __init__(self, lists):
        self.config = TextConfig()
        self._lists = iter(lists)

    def segment(self, caption):
        return next(self._lists)

    def dictionary_report(self):
        return None


@pytest.fixture
def check():
    """Checks a table and returns the content of the report; `lists` sets the words of each caption."""

    def check(table, language="zh", text=None, lists=None, **options):
        segmenter = Segmenter(TextConfig(language=language, **(text or {}))) if lists is None else FixedSegmenter(lists)
        return check_corpus(table, segmenter, **options).content

    return check


@pytest.fixture
def counts_by_kind():
    """Returns the number of findings of each kind that a report has any of."""
    return lambda report: {kind: about["count"] for kind, about in report["findings"].items() if about["count"]}


@pytest.fixture
def save_image():
    """Writes an image of noise, of (width, height) pixels."""

    def save(path, size=(80, 70), seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(path)

    return save


@pytest.fixture
def images(tmp_path, save_image):
    """A folder with an image for every kind of finding, and the rows of a caption file."""
    folder = tmp_path / "images"
    for seed, name in enumerate(
        ["good.png", "more/good.png", "original.png", "leaked.png", "uncaptioned.png", "left_out.png"]
    ):
        save_image(folder / name, seed=seed)
    save_image(folder / "small.png", (63, 200), seed=11)
    save_image(folder / "narrow.png", (70, 281), seed=12)
    save_image(folder / "wide_enough.png", (280, 70), seed=13)
    (folder / "copy.png").write_bytes((folder / "original.png").read_bytes())
    for name in ("leak_val.png", "leak_test.png"):
        (folder / name).write_bytes((folder / "leaked.png").read_bytes())
    (folder / "truncated.png").write_bytes((folder / "good.png").read_bytes()[:-900])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image")
    Image.new("1", (9450, 9450)).save(folder / "huge.png")
    names = ["good.png", "more/good.png", "original.png", "copy.png", "leaked.png", "small.png", "narrow.png"]
    names += ["wide_enough.png", "truncated.png", "empty.jpg", "text.jpg", "huge.png", "missing.png", "missing.png"]
    rows = [(name, f"一只狗在第{index}个草地上跑") for index, name in enumerate(names)]
    rows += [("leak_val.png", "一只猫在跑", "val"), ("leak_test.png", "一只鸟在飞", "test")]
    return SimpleNamespace(folder=folder, rows=rows)
