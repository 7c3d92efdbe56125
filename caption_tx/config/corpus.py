"""Settings of captions and images: sources, layout, and the split of images that have none."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from caption_tx.config.fields import RATE, Bounds, check, setting, settings_of, suggestion, validate
from caption_tx.errors import ConfigError

SPLITS = ("train", "val", "test")

CAPTION_FORMATS = (
    "parquet", "excel", "karpathy", "coco", "ai_challenger", "jsonl", "flickr30k", "csv", "tsv", "ofa", "coco_cn",
    "flickr8k", "json", "pairs", "folder",
)  # fmt: skip
"""Layouts of caption files, in the order of their detection (`data/corpus/formats.py`)."""

CAPTION_PROBLEMS = (
    "no_letters", "placeholder", "damaged_text", "html", "url", "email", "file_name", "hashtag", "repetition",
    "tag_list", "kana_or_hangul", "wrong_script",
)  # fmt: skip
"""Reasons that make a caption unfit for training, in the order of their detection."""

ORIGINS = ("human", "machine")
"""Who wrote a caption. Machine translations are trained on but never serve as references."""


@dataclass(frozen=True)
class Source:
    """One caption file or folder with its options. None means: read from the file, or detect.

    Training goes through the stages in order. A source belongs to one stage and, with `training.mix_stages`,
    to the earlier ones too.
    """

    path: str = setting("", "caption file, or a folder that contains one")
    format: str | None = setting(None, "layout of the captions", unset="detected")
    encoding: str | None = setting(None, "text encoding", unset="detected")
    split: str | None = setting(None, "split of all its images", choices=SPLITS, unset="from the file, or divided")
    origin: str | None = setting(None, "who wrote the captions", choices=ORIGINS, unset="from the file, or human")
    images: str = setting("", "folder (or TSV or Parquet file of images) within the image folder")
    weight: float = setting(
        1.0, "weight of its captions in the mean loss of its stage", bounds=Bounds(above=0, below=math.inf)
    )
    stage: int = setting(1, "training stage", bounds=Bounds(minimum=1, maximum=100))
    caption_column: str | None = setting(None, "column or JSON key of the captions", unset="found")
    image_column: str | None = setting(None, "column or JSON key of the image name", unset="found")
    text_suffix: str | None = setting(None, "suffix of the text files beside images", unset=".txt and .caption")

    def __post_init__(self) -> None:
        check(bool(self.path), "source", self.path, "a path")
        validate(self, suffix=f" of {self.path}")


_OPTIONS = {name: item for name, item in settings_of(Source).items() if name != "path"}
_SOURCE = re.compile(r"(.+?)(?::([a-z_]+=[^,]*(?:,[a-z_]+=[^,]*)*))?", re.DOTALL)


def parse_source(text: str) -> Source:
    """Parses a source of the command line: `PATH` or `PATH:KEY=VALUE,KEY=VALUE`.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type or is out of range.

    Example:
        >>> parse_source("translated.txt:stage=1,weight=0.5").weight
        0.5
    """
    path, options = _SOURCE.fullmatch(text).groups() if text else ("", None)
    values: dict[str, Any] = dict(item.split("=", 1) for item in options.split(",")) if options else {}
    for name, value in values.items():
        if name not in _OPTIONS:
            raise ConfigError(f"Unknown option '{name}' of source {path}. {suggestion(name, _OPTIONS)}")
        try:
            values[name] = _OPTIONS[name].type(value)
        except ValueError:
            raise ConfigError(f"{name} of {path} must be a number, got {value!r}.") from None
    return Source(path, **values)


@dataclass(frozen=True)
class CorpusConfig:
    """Captions, images, and the split of images that have none."""

    sources: tuple[str, ...] = setting(
        (),
        "caption files, or folders that contain one; append options to a path as PATH:KEY=VALUE,.. "
        f"(keys: {', '.join(_OPTIONS)}), e.g. translated.txt:stage=1,weight=0.5",
        metavar="SOURCE",
    )
    format: str | None = setting(
        None,
        "layout of sources that do not name one",
        flag="--format",
        choices=CAPTION_FORMATS,
        metavar="LAYOUT",
        unset="detected",
    )
    images: str = setting(
        "",
        "image folder or TSV file of base64 images, may be on a remote store (gs://..); or Parquet file of images",
        flag="--images",
        metavar="DIR",
    )
    leave_out: tuple[str, ...] = setting(
        (),
        "leave out captions with these problems, which `corpus --check` reports",
        flag="--leave-out",
        choices=CAPTION_PROBLEMS,
        metavar="PROBLEM,..",
    )
    val_fraction: float = setting(0.05, "fraction of images without a split for validation", bounds=RATE)
    test_fraction: float = setting(0.05, "fraction of images without a split for testing", bounds=RATE)
    split_seed: int = setting(0, "random seed of the split")
    caption_column: tuple[str, ...] = setting(
        (),
        "columns, or keys of JSON entries, that hold captions",
        flag="--caption-column",
        metavar="NAME,..",
        unset="found by name and content",
    )
    image_column: str | None = setting(
        None,
        "column, or key of JSON entries, that holds the image name",
        flag="--image-column",
        metavar="NAME",
        unset="found by name and content",
    )
    text_suffix: str | None = setting(
        None,
        "suffix of the text files beside images",
        flag="--text-suffix",
        metavar="SUFFIX",
        unset=".txt and .caption",
    )
    keep_rejected: bool = setting(
        False, "keep captions that are marked as rejected or precanned", flag="--keep-rejected"
    )

    def __post_init__(self) -> None:
        validate(self, "corpus.")
        total = self.val_fraction + self.test_fraction
        check(total < 1, "corpus.val_fraction + corpus.test_fraction", total, "below 1")
        for source in self.sources:
            parse_source(source)
