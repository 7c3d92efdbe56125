"""The kinds of things that a corpus check finds, and a collection of what it found. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

SMALL_SIDE = 64
"""Pictures with a side below this many pixels show the backbone little."""

NARROW = 4
"""Pictures longer than this many times their width are squashed beyond recognition."""

LISTED = 20
"""Most entries of a list in a report; the full count stands beside it."""

COLUMNS = ("image", "split", "source", "line", "caption", "detail")
"""What is told of each thing found; empty where it does not apply."""


@dataclass(frozen=True)
class Kind:
    """One thing that is looked for.

    Attributes:
        unit: what is counted and what the share is taken of.
        title: what was found, in words that follow a count.
        advice: what to do about it.
        problem_above: the share in [0, 1) above which it must be mended; below it is worth a remark.
            1 is always a remark; None is a fact to know, neither good nor bad.
    """

    unit: str
    title: str
    advice: str
    problem_above: float | None


_PER_CENT = 0.01
_DROP = "mend these captions or leave them out"

KINDS: dict[str, Kind] = {
    "empty_split": Kind(
        "splits",
        "without images (training needs train, and val to choose the best epoch)",
        "give the images a split, or raise corpus.val_fraction; nothing to do where the corpus only serves to evaluate",
        1,
    ),
    "bad_line": Kind(
        "lines", "that could not be read, left out", "correct them; the reason stands behind each place", 0
    ),
    "empty_caption": Kind("lines", "without a caption, left out", "write the caption, or remove the line", 1),
    "blank_line": Kind("lines", "blank, left out", "nothing to do", None),
    "left_out_image": Kind(
        "images", "that the split lists beside the captions do not name, left out", "add them to a list to use them",
        None,
    ),
    "image_in_two_splits": Kind(
        "pictures",
        "under different names in different splits (a leak: the model is tested on what it learned)",
        "keep each picture in one split, or remove the copies",
        0,
    ),
    "same_image": Kind(
        "pictures", "under several names in one split", "put all captions under one name", 1
    ),
    "missing_image": Kind(
        "images", "that captions name and that are not there", "check --images and the names; look for a lost suffix", 0
    ),
    "unreadable_image": Kind(
        "images", "that cannot be read", "fetch or convert them again; training leaves them out", 0
    ),
    "unlisted_folder": Kind(
        "folders", "of images that cannot be listed, left out", "let yourself read and enter them (chmod u+rx)", 0
    ),
    "malformed_row": Kind(
        "rows", "of image tables without an id and a tab, left out", "correct them: id<TAB>base64", 0
    ),
    "repeated_id": Kind(
        "rows", "of image tables with the id of an earlier row, left out", "give each image an id of its own", 1
    ),
    "uncaptioned_image": Kind("images", "without a caption, not used", "nothing to do, unless they should have one", 1),
    "small_image": Kind("images", f"with a side below {SMALL_SIDE} pixels", "use larger versions if there are any", 1),
    "narrow_image": Kind(
        "images", f"more than {NARROW} times as long as wide", "crop them: every image is squashed to a square", 1
    ),
    "no_letters": Kind("captions", "without any letter: only emoji, punctuation or numbers", _DROP, _PER_CENT),
    "placeholder": Kind("captions", "that only hold a place, such as 'null' or '无'", _DROP, _PER_CENT),
    "damaged_text": Kind(
        "captions", "with damaged letters", "read the file in its own encoding: SOURCE:encoding=gb18030", 0
    ),
    "html": Kind("captions", "with HTML tags or entities", "turn them into plain text", _PER_CENT),
    "url": Kind("captions", "with a web address", _DROP, _PER_CENT),
    "email": Kind("captions", "with an e-mail address", _DROP, _PER_CENT),
    "file_name": Kind("captions", "that are a file name", _DROP, _PER_CENT),
    "hashtag": Kind("captions", "with hashtags or @mentions", _DROP, _PER_CENT),
    "repetition": Kind("captions", "that say the same over and over", _DROP, _PER_CENT),
    "tag_list": Kind(
        "captions", "that are lists of tags", "write sentences, or train on tags alone: mixed, they harm both",
        _PER_CENT,
    ),
    "kana_or_hangul": Kind(
        "captions", "with Japanese kana or Korean letters", "keep one language a model", _PER_CENT
    ),
    "wrong_script": Kind(
        "captions", "in another script than the language's", "check --language, or leave them out", _PER_CENT
    ),
    "other_form": Kind(
        "captions",
        "in the rarer of simplified and traditional characters",
        "convert all to one: --script simplified (or traditional)",
        _PER_CENT,
    ),
    "full_width": Kind(
        "captions", "with full-width letters or digits (Ａ, １)", "fold them: --nfkc", 1
    ),
    "control_characters": Kind("captions", "with control or invisible characters", "remove those characters", 1),
    "no_words": Kind("captions", "without a word, left out by training", _DROP, 1),
    "one_word": Kind("captions", "of a single word", "write more, unless single words are wanted", 1),
    "too_long": Kind("captions", "longer than the model keeps, cut by training", "raise model.max_length", 1),
    "repeated_caption": Kind(
        "captions", "that repeat another of the same image word for word", "remove the copies: they weigh double", 1
    ),
    "same_captions": Kind(
        "images", "with exactly the captions of another image (two or more)", "see whether the captions were mixed up",
        1,
    ),
    "frequent_caption": Kind(
        "texts", "that stand under more than 1 % of all captions each", "a model learns to repeat them; keep fewer", 1
    ),
    "machine_in_evaluation": Kind(
        "captions", "of val and test are machine translations, never used as references", "nothing to do", None
    ),
    "image_without_reference": Kind(
        "images",
        "of val and test with machine translations only",
        "they cannot be scored; add captions written by people",
        0.5,
    ),
}  # fmt: skip
"""Everything that is looked for, in the order of the report."""


class Findings:
    """What a check found: a table of places for each kind that was looked for, empty ones included."""

    def __init__(self) -> None:
        self._places: dict[str, pd.DataFrame] = {}
        self._totals: dict[str, int] = {}

    def add(self, kind: str, places: pd.DataFrame, total: int, details: Sequence[str] | None = None) -> None:
        """The places of one kind, out of `total` units; `details` has one text for each place."""
        places = places if details is None else places.assign(detail=list(details))
        # Columns as they are, so that a category stays one.
        self._places[kind] = places.reindex(columns=list(COLUMNS))
        self._totals[kind] = total

    def level(self, kind: str) -> str:
        """ "problem", "remark", "fact", or "none" where nothing was found."""
        limit = KINDS[kind].problem_above
        if self._places[kind].empty:
            return "none"
        if limit is None:
            return "fact"
        return "problem" if self._share(kind) > limit else "remark"

    def _share(self, kind: str) -> float:
        return len(self._places[kind]) / max(self._totals[kind], 1)

    def report(self) -> dict[str, Any]:
        """Each kind in the order of `KINDS`, ready for JSON, with its first `LISTED` places."""
        return {
            kind: {
                "level": self.level(kind),
                "count": len(self._places[kind]),
                "of": self._totals[kind],
                "share": round(self._share(kind), 6),
                "unit": about.unit,
                "title": about.title,
                "advice": about.advice,
                "first": _plain(self._places[kind].head(LISTED)),
            }
            for kind, about in KINDS.items()
            if kind in self._places
        }

    def to_csv(self) -> str:
        """Every place of every kind as CSV with a header: kind, level and `COLUMNS`."""
        pieces = [pd.DataFrame(columns=["kind", "level", *COLUMNS]).to_csv(index=False)]
        for kind in KINDS:
            if kind in self._places:
                places = self._places[kind].copy()
                places.insert(0, "kind", kind)
                places.insert(1, "level", self.level(kind))
                pieces.append(places.to_csv(index=False, header=False))
        return "".join(pieces)


def _plain(places: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts without the cells that are empty."""
    rows = [dict(zip(places.columns, row, strict=True)) for row in places.itertuples(index=False, name=None)]
    return [
        {name: int(value) if name == "line" else str(value) for name, value in row.items() if not pd.isna(value)}
        for row in rows
    ]
