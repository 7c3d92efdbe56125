"""The kinds of findings of a corpus check, and the findings themselves. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from caption_tx.data.images.interpretation import KINDS as INTERPRETATIONS
from caption_tx.escaping import escape_formula

MIN_SIDE = 64
"""Images with a side below this many pixels have too little detail for the backbone."""

MAX_ASPECT_RATIO = 4
"""Images with a larger aspect ratio are distorted beyond recognition when they are resized to a square."""

MAX_RANGE = 16
"""Images whose values differ by at most this, of 255, in every channel have nothing to describe."""

MAX_LISTED = 20
"""Maximum length of the lists in a report; the full count is always reported too."""

COLUMNS = ("image", "split", "source", "line", "caption", "detail")
"""What is known about each finding; columns that do not apply are empty."""


@dataclass(frozen=True)
class FindingKind:
    """One kind of finding.

    Attributes:
        unit: what is counted, and what the share refers to.
        title: the finding, in words that follow "3 of 500 captions".
        advice: what to do about it; "" if there is nothing to do.
        problem_above: share in [0, 1) above which it is a problem and below which it is a warning. With 1 it is
            always a warning. None makes it information, which is neither good nor bad.
    """

    unit: str
    title: str
    advice: str
    problem_above: float | None


_ONE_PERCENT = 0.01
_EXPORT_AGAIN = "an earlier program damaged them: export them again"
_FIX = "fix these captions or leave them out"

KINDS: dict[str, FindingKind] = {
    "empty_split": FindingKind(
        "splits",
        "without images (training needs 'train', and 'val' to select the best epoch)",
        "assign images to the split or raise corpus.val_fraction; ignore this if you only evaluate on the corpus",
        1,
    ),
    "malformed_line": FindingKind("lines", "that cannot be read and are skipped", "correct these lines", 0),
    "empty_caption": FindingKind("lines", "without a caption, skipped", "add the caption or remove the line", 1),
    "blank_line": FindingKind("lines", "that are blank, skipped", "", None),
    "left_out_image": FindingKind(
        "images", "that are in no split list, left out", "add them to a split list to use them", None
    ),
    "image_in_two_splits": FindingKind(
        "distinct images",
        "under different names in different splits (leakage: training images are used for evaluation)",
        "keep each image in one split, or remove the copies",
        0,
    ),
    "duplicate_image": FindingKind(
        "distinct images", "under several names in one split", "put all captions under one name", 1
    ),
    "missing_image": FindingKind(
        "images", "that do not exist", "check images (--images) and the names; a file extension may be missing", 0
    ),
    "unreadable_image": FindingKind(
        "images", "that cannot be read, left out of training", "download or convert them again", 0
    ),
    "unreadable_folder": FindingKind(
        "folders", "of images that cannot be listed, skipped", "give yourself permission to read them (chmod u+rx)", 0
    ),
    "malformed_row": FindingKind(
        "rows", "of image tables without an id and a tab, skipped", "correct them: id<TAB>base64", 0
    ),
    "duplicate_id": FindingKind(
        "rows", "of image tables with the id of an earlier row, skipped", "give each image a unique id", 1
    ),
    "uncaptioned_image": FindingKind("images", "without a caption, not used", "add captions to use them", 1),
    "blank_image": FindingKind(
        "images",
        "of a single color, or nearly so",
        "look at them: an export or a conversion may have lost the picture (12-bit values in 16-bit files are black)",
        1,
    ),
    "small_image": FindingKind("images", f"with a side below {MIN_SIDE} pixels", "use larger versions if available", 1),
    "narrow_image": FindingKind(
        "images",
        f"with an aspect ratio above {MAX_ASPECT_RATIO}",
        "crop them, because every image is resized to a square",
        1,
    ),
    **{
        kind: FindingKind("images", text, advice, 1 if advice else None)
        for kind, (text, advice) in INTERPRETATIONS.items()
    },
    "no_letters": FindingKind("captions", "without letters: only emoji, punctuation or numbers", _FIX, _ONE_PERCENT),
    "placeholder": FindingKind("captions", "that are placeholders such as 'null' or '无'", _FIX, _ONE_PERCENT),
    "damaged_text": FindingKind(
        "captions",
        "with damaged characters",
        f"{_EXPORT_AGAIN}; if all are damaged, name the encoding: SOURCE:encoding=gb18030",
        0,
    ),
    "truncated_caption": FindingKind(
        "captions", "that end at one length, as if an export had cut them off", "export the captions in full", 0
    ),
    "html": FindingKind(
        "captions", "with HTML tags, entities or other markup", "convert them to plain text", _ONE_PERCENT
    ),
    "url": FindingKind("captions", "with a web address", _FIX, _ONE_PERCENT),
    "email": FindingKind("captions", "with an e-mail address", _FIX, _ONE_PERCENT),
    "file_name": FindingKind("captions", "that are a file name", _FIX, _ONE_PERCENT),
    "hashtag": FindingKind("captions", "with hashtags or @mentions", _FIX, _ONE_PERCENT),
    "repetition": FindingKind("captions", "that repeat the same letters or words", _FIX, _ONE_PERCENT),
    "tag_list": FindingKind(
        "captions",
        "that are lists of tags",
        "write sentences, or train on tags only: mixing them harms both",
        _ONE_PERCENT,
    ),
    "kana_or_hangul": FindingKind(
        "captions", "with Japanese kana or Korean letters", "use one language per model", _ONE_PERCENT
    ),
    "wrong_script": FindingKind(
        "captions",
        "in a different script from the language",
        "check language (--language) or leave them out",
        _ONE_PERCENT,
    ),
    "mixed_scripts": FindingKind(
        "captions",
        "in the less frequent of simplified and traditional characters",
        "convert all captions: --script simplified (or traditional)",
        _ONE_PERCENT,
    ),
    "full_width": FindingKind("captions", "with full-width letters or digits (Ａ, １)", "normalize them: --nfkc", 1),
    "control_characters": FindingKind("captions", "with control or invisible characters", "remove these characters", 1),
    "no_words": FindingKind("captions", "without words, left out of training", _FIX, 1),
    "one_word": FindingKind("captions", "of a single word", "write more, unless single words are intended", 1),
    "too_long": FindingKind("captions", "that training truncates", "raise model.max_length", 1),
    "duplicate_caption": FindingKind(
        "captions", "that repeat a caption of the same image", "remove the copies, because they count twice", 1
    ),
    "identical_captions": FindingKind(
        "images",
        "with exactly the captions of another image (two or more)",
        "check whether the captions were mixed up",
        1,
    ),
    "frequent_caption": FindingKind(
        "distinct captions",
        "that each make up more than 1% of all captions",
        "keep fewer copies, because a model learns to repeat them",
        1,
    ),
    "machine_in_evaluation": FindingKind(
        "captions", "of val and test that are machine translations, never used as references", "", None
    ),
    "image_without_reference": FindingKind(
        "images",
        "of val and test with machine translations only",
        "add human captions, because these images cannot be scored",
        0.5,
    ),
}
"""All kinds of findings, in the order of the report."""


class Findings:
    """The findings of a corpus check: one table per kind that was checked, which may be empty."""

    def __init__(self) -> None:
        self._tables: dict[str, pd.DataFrame] = {}
        self._totals: dict[str, int] = {}

    def add(self, kind: str, table: pd.DataFrame, total: int, details: Sequence[str] | None = None) -> None:
        """Adds all findings of one kind.

        Args:
            kind: a key of `KINDS`.
            table: one row per finding, with some of `COLUMNS`.
            total: number of units that were checked.
            details: one text per row, for the column "detail".
        """
        table = table if details is None else table.assign(detail=list(details))
        # `reindex` keeps the types of the columns, in particular categories.
        self._tables[kind] = table.reindex(columns=list(COLUMNS))
        self._totals[kind] = total

    def level(self, kind: str) -> str:
        """Returns "problem", "warning" or "info", or "none" if nothing was found."""
        limit = KINDS[kind].problem_above
        if self._tables[kind].empty:
            return "none"
        if limit is None:
            return "info"
        return "problem" if self._share(kind) > limit else "warning"

    def _share(self, kind: str) -> float:
        return len(self._tables[kind]) / max(self._totals[kind], 1)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns the findings per kind, ready for JSON, in the order of `KINDS`; examples are the first few."""
        return {
            kind: {
                "level": self.level(kind),
                "count": len(self._tables[kind]),
                "total": self._totals[kind],
                "share": round(self._share(kind), 6),
                "unit": about.unit,
                "title": about.title,
                "advice": about.advice,
                "examples": _to_dicts(self._tables[kind].head(MAX_LISTED)),
            }
            for kind, about in KINDS.items()
            if kind in self._tables
        }

    def to_csv(self) -> str:
        """Returns all findings as CSV with a header; the columns are kind, level and `COLUMNS`.

        An apostrophe precedes cells that a spreadsheet would run as a formula.
        """
        parts = [pd.DataFrame(columns=["kind", "level", *COLUMNS]).to_csv(index=False)]
        for kind in KINDS:
            if kind in self._tables:
                table = self._tables[kind].copy()
                table.insert(0, "kind", kind)
                table.insert(1, "level", self.level(kind))
                table = table.map(lambda value: escape_formula(value) if isinstance(value, str) else value)
                parts.append(table.to_csv(index=False, header=False))
        return "".join(parts)


def _to_dicts(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns rows as dicts without empty cells."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False, name=None)]
    return [
        {name: int(value) if name == "line" else str(value) for name, value in row.items() if not pd.isna(value)}
        for row in rows
    ]
