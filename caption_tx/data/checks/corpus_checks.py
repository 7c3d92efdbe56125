"""What is in a corpus and what is wrong with it: `check_corpus(table, ..)` -> a report ready for JSON.

One caption alone is judged in `captions`, images in `images`; the report is put into lines by `text` and
drawn by `plot`. No TensorFlow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.config import CAPTION_PROBLEMS, ORIGINS, SPLITS, TextConfig
from caption_tx.data.checks.caption_problems import CONTROL, FULL_WIDTH, caption_problems, han_forms
from caption_tx.data.checks.findings import LISTED, Findings
from caption_tx.data.checks.image_checks import Progress, check_images
from caption_tx.data.corpus.summary import summarize_values
from caption_tx.data.corpus.table import machine_references
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.vocabulary import build_vocabulary, is_valid_word
from caption_tx.data.text.word_lists import WordLists
from caption_tx.errors import CorpusError

__all__ = ["Findings", "caption_problems", "check_corpus"]

MIN_FREQUENCIES = (1, 2, 3, 4, 5, 8, 10, 20, 50)
"""Thresholds that the vocabulary is shown for, besides the configured one."""

FREQUENT_SHARE = 0.01
"""A text under more than this share of all captions is worth a remark."""


def check_corpus(
    table: pd.DataFrame,
    segmenter: Segmenter,
    *,
    images: ImageSource | None = None,
    text: TextConfig | None = None,
    model_max_length: int = 40,
    progress: Progress | None = None,
    words: WordLists | None = None,
    findings: Findings | None = None,
) -> dict[str, Any]:
    """Counts of a corpus and everything in it that may need mending, ready for JSON.

    `images` and `captions` are plain counts. `findings` holds, for every kind of `KINDS` that was looked
    for, its level, count and first places; `verdict` the kinds that are "problems", "remarks" and "facts".
    The same corpus gives the same report. Lists are cut at `LISTED` entries, with the full count beside;
    shares are in [0, 1].

    Args:
        table: of `read_corpus`, its `attrs` included.
        images: where its images lie; every one is read whole. None leaves them out.
        text: how captions become words; the segmenter's own where None.
        model_max_length: positions of a model, which leave room for one word less.
        progress: wraps an iterable, its length and what it holds, e.g. by `tqdm`.
        words: of each caption, where they are at hand.
        findings: collects every place, for `Findings.to_csv`.

    Raises:
        CorpusError: the table is empty.
        ImageError: the images cannot be listed.
        ValueError: `words` is of another table.
    """
    if not len(table):
        raise CorpusError("There are no captions to check.")
    text = segmenter.config if text is None else text
    findings = Findings() if findings is None else findings
    # First, since a location that is not there shows at once.
    pictures = None if images is None else check_images(table, images, findings, progress)
    if words is None:
        captions: Iterable[str] = table["caption"]
        if progress is not None:
            captions = progress(captions, len(table), "captions")
        words = WordLists.from_lists(map(segmenter.segment, captions))
    if len(words) != len(table):
        raise ValueError(f"Words of {len(words)} captions for a table of {len(table)}.")
    _find_lines(table, findings)
    _find_texts(table, text, words, model_max_length, findings)
    scripts = _find_forms(table, text, findings) if text.language == "zh" else None
    frequent = _find_repeats(table, findings)
    _find_machine_captions(table, findings)
    found = findings.report()
    return {
        **_counts(table),
        "language": text.language,
        "files": list(table.attrs.get("files", [])),
        "caption_length": {
            "words": _distribution(words.lengths),
            "characters": _distribution(table["caption"].str.len().to_numpy()),
            "most_words": model_max_length - 1,
        },
        "vocabulary": _vocabulary(table, text, words),
        "frequent_captions": frequent,
        "scripts": scripts,
        "checked_images": pictures,
        "findings": found,
        "verdict": {
            level + "s": [kind for kind, about in found.items() if about["level"] == level]
            for level in ("problem", "remark", "fact")
        },
    }


def _counts(table: pd.DataFrame) -> dict[str, Any]:
    """Images and captions, in all, by image and by split; what was left out."""
    per_image = np.bincount(pd.factorize(table["image"])[0])
    splits = {}
    for split in SPLITS:
        rows = table[table["split"] == split]
        if len(rows):
            splits[split] = {
                "images": int(rows["image"].nunique()),
                "captions": len(rows),
                "machine_captions": int((rows["origin"] == "machine").sum()),
            }
    skipped = table.attrs.get("skipped", [])
    return {
        "images": len(per_image),
        "captions": len(table),
        "captions_per_image": _distribution(per_image),
        "splits": splits,
        "stage_captions": _stages(table),
        "origins": {name: count for name in ORIGINS if (count := int((table["origin"] == name).sum()))},
        "left_out_images": len(table.attrs.get("left_out", [])),
        "skipped": len(skipped),
        "skipped_reasons": dict(Counter(reason for _, _, reason in skipped)),
    }


def _stages(table: pd.DataFrame) -> dict[str, int]:
    """Training captions of each stage."""
    stages = table["stage"][table["split"] == "train"].to_numpy() if "stage" in table else np.zeros(0, int)
    numbers, counts = np.unique(stages, return_counts=True)
    return {str(number): int(count) for number, count in zip(numbers, counts, strict=True)}


def _distribution(values: np.ndarray) -> dict[str, Any]:
    """Spread and histogram ([value, how many], ..) of whole numbers."""
    numbers, counts = np.unique(values, return_counts=True)
    return {
        **summarize_values(values),
        "histogram": [[int(number), int(count)] for number, count in zip(numbers, counts, strict=True)],
    }


def _vocabulary(table: pd.DataFrame, text: TextConfig, words: WordLists) -> dict[str, Any]:
    """The vocabulary of the training split at several thresholds, and what stays unknown of each split.

    Machine translations outside training are no references, so their words do not count.
    """
    kept = ~machine_references(table).to_numpy()
    table, words = table[kept], words.take(kept)
    counts = {split: words.take((table["split"] == split).to_numpy()).counts() for split in SPLITS}
    counts = {split: count for split, count in counts.items() if count.sum()}
    training = counts.get("train", np.zeros(len(words.distinct_words), np.int64))
    usable = np.fromiter(map(is_valid_word, words.distinct_words), bool, len(words.distinct_words))

    def unknown(known: np.ndarray) -> dict[str, float]:
        return {split: round(float(count[~known].sum() / count.sum()), 6) for split, count in counts.items()}

    steps = []
    for threshold in sorted({*MIN_FREQUENCIES, text.min_frequency}):
        known = usable & (training >= threshold)
        steps.append({"min_frequency": threshold, "known_words": int(known.sum()), "unknown_share": unknown(known)})
    train = words.take((table["split"] == "train").to_numpy())
    vocabulary = set(build_vocabulary(train, text.max_vocabulary_size, text.min_frequency))
    known = usable & np.fromiter(map(vocabulary.__contains__, words.distinct_words), bool, len(words.distinct_words))
    total = words.counts()
    lost = np.flatnonzero(~known & (total > 0)).tolist()
    lost.sort(key=lambda place: (-total[place], words.distinct_words[place]))
    return {
        "distinct_words": int((total > 0).sum()),
        "words": len(words.values),
        "min_frequency": text.min_frequency,
        "max_vocabulary_size": text.max_vocabulary_size,
        "known_words": int(known.sum()),
        "unknown_share": unknown(known),
        "unknown_words": len(lost),
        "most_frequent_unknown": [[words.distinct_words[place], int(total[place])] for place in lost[:LISTED]],
        "by_min_frequency": steps,
    }


def _find_lines(table: pd.DataFrame, findings: Findings) -> None:
    """Lines that were skipped, images without a split, and splits without images."""
    skipped = pd.DataFrame(table.attrs.get("skipped", []), columns=["source", "line", "detail"])
    lines = len(table) + len(skipped)
    blank, empty = skipped["detail"] == "blank line", skipped["detail"] == "no caption"
    for kind, chosen in (("bad_line", ~blank & ~empty), ("empty_caption", empty), ("blank_line", blank)):
        findings.add(kind, skipped[chosen], lines)
    left_out = list(table.attrs.get("left_out", []))
    findings.add("left_out_image", pd.DataFrame({"image": left_out}), table["image"].nunique() + len(left_out))
    empty_splits = [split for split in ("train", "val") if not (table["split"] == split).any()]
    findings.add("empty_split", pd.DataFrame({"split": empty_splits}), len(SPLITS))


def _find_texts(
    table: pd.DataFrame, text: TextConfig, words: WordLists, model_max_length: int, findings: Findings
) -> None:
    """Captions that are no captions, in another script, or of an odd length."""
    captions = table["caption"].tolist()
    bit = {kind: 1 << place for place, kind in enumerate(CAPTION_PROBLEMS)}
    problems = np.fromiter(
        (sum(map(bit.__getitem__, caption_problems(caption, text.language))) for caption in captions),
        np.int64,
        len(captions),
    )
    # Kana in English captions are one more case of another script.
    kinds = [kind for kind in CAPTION_PROBLEMS if kind != "kana_or_hangul" or text.language == "zh"]
    masks = {kind: problems & bit[kind] > 0 for kind in kinds}
    masks["full_width"] = _matches(captions, FULL_WIDTH.search) & (not text.nfkc)
    masks["control_characters"] = _matches(captions, CONTROL.search)
    fit, lengths = problems == 0, words.lengths
    masks |= {"no_words": fit & (lengths == 0), "one_word": fit & (lengths == 1)}
    # The start takes a position; the end is only ever predicted.
    masks["too_long"] = lengths + 1 > model_max_length
    for kind, mask in masks.items():
        findings.add(kind, table[mask], len(table), _details(kind, table["caption"][mask], lengths[mask]))


def _details(kind: str, captions: pd.Series, lengths: np.ndarray) -> list[str] | None:
    """What cannot be seen at a glance."""
    if kind == "too_long":
        return [f"{length} words" for length in lengths.tolist()]
    if kind == "control_characters":
        found = (dict.fromkeys(CONTROL.findall(caption)) for caption in captions)
        return [" ".join(f"U+{ord(letter):04X}" for letter in letters) for letters in found]
    return None


def _matches(captions: list[str], test: Callable[[str], object]) -> np.ndarray:
    return np.fromiter((test(caption) is not None for caption in captions), bool, len(captions))


def _find_forms(table: pd.DataFrame, text: TextConfig, findings: Findings) -> dict[str, int] | None:
    """How many captions hold letters that exist only in one form of Chinese; None without OpenCC."""
    forms = han_forms()
    if forms is None:
        return None
    captions = table["caption"].tolist()
    simplified, traditional = (
        np.fromiter((not form.isdisjoint(caption) for caption in captions), bool, len(captions)) for form in forms
    )
    if text.script is None:  # else all are converted
        rarer = simplified if simplified.sum() < traditional.sum() else traditional
        letters = forms[0] if rarer is simplified else forms[1]
        details = ["".join(dict.fromkeys(filter(letters.__contains__, each))) for each in table["caption"][rarer]]
        findings.add("other_form", table[rarer], len(table), details)
    both = simplified & traditional
    counts = {"simplified": simplified & ~both, "traditional": traditional & ~both, "both": both}
    counts["either"] = ~(simplified | traditional)
    return {name: int(mask.sum()) for name, mask in counts.items()}


def _find_repeats(table: pd.DataFrame, findings: Findings) -> list[dict[str, Any]]:
    """The same text again: under one image, under several images, and most often of all."""
    image, names = pd.factorize(table["image"])
    caption, texts = pd.factorize(table["caption"])
    pairs = pd.Series(image.astype(np.int64) * len(texts) + caption)
    findings.add("repeated_caption", table[pairs.duplicated().to_numpy()], len(table))
    distinct = pairs.drop_duplicates().to_numpy()
    image_of, caption_of = np.divmod(distinct, len(texts))
    # A sum of random numbers, one a text, tells sets apart whatever their order.
    marks = np.random.default_rng(0).integers(0, 2**63, len(texts), dtype=np.uint64)
    sums = np.zeros(len(names), np.uint64)
    np.add.at(sums, image_of, marks[caption_of])
    several = np.flatnonzero(np.bincount(image_of, minlength=len(names)) >= 2)
    first_with = pd.Series(several).groupby(sums[several]).transform("first").to_numpy()
    again = first_with != several
    first_row = np.unique(image, return_index=True)[1]
    twins = table.iloc[first_row[several[again]]].drop(columns="caption")
    findings.add("same_captions", twins, len(names), [f"as {names[place]}" for place in first_with[again]])
    counts = np.bincount(caption)
    order = np.argsort(-counts, kind="stable")
    often = order[counts[order] > FREQUENT_SHARE * len(table)]
    often = often[counts[often] > 2]  # a share says nothing of a handful of captions
    first_row = np.unique(caption, return_index=True)[1]
    findings.add(
        "frequent_caption", table.iloc[first_row[often]], len(texts), [f"{counts[place]} times" for place in often]
    )
    images = np.bincount(caption_of)
    top = [place for place in order[: LISTED // 2] if counts[place] > 1]
    return [{"caption": str(texts[n]), "count": int(counts[n]), "images": int(images[n])} for n in top]


def _find_machine_captions(table: pd.DataFrame, findings: Findings) -> None:
    """Machine translations where only people's captions serve as references."""
    evaluated = table[table["split"].isin(("val", "test"))]
    machine = machine_references(evaluated)
    findings.add("machine_in_evaluation", evaluated[machine], len(evaluated))
    scored = set(evaluated["image"][~machine])
    alone = evaluated[~evaluated["image"].isin(scored)].drop_duplicates("image").drop(columns="caption")
    findings.add("image_without_reference", alone, evaluated["image"].nunique())
