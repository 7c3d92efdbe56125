"""Checks of all captions of a corpus: skipped lines, unsuitable text, mixed scripts and duplicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.config import CAPTION_PROBLEMS, SPLITS, TextConfig
from caption_tx.data.checks.caption_problems import CONTROL, caption_problems, han_forms
from caption_tx.data.checks.findings import MAX_LISTED, Findings
from caption_tx.data.corpus.table import machine_references
from caption_tx.data.corpus.tables.table_ends import NO_NAME_AND_CAPTION, SECOND_HEADER
from caption_tx.data.corpus.values.truncation import find_truncated
from caption_tx.data.text.look_alikes import FULL_WIDTH
from caption_tx.data.text.word_lists import WordLists

FREQUENT_SHARE = 0.01
"""A text that makes up more than this share of all captions is reported."""


def check_lines(table: pd.DataFrame, findings: Findings) -> None:
    """Finds skipped lines, images that are in no split list, and empty splits."""
    skipped = pd.DataFrame(table.attrs.get("skipped", []), columns=["source", "line", "detail"])
    num_lines = len(table) + len(skipped)
    is_blank = skipped["detail"].isin(["blank line", SECOND_HEADER])
    is_empty = skipped["detail"].isin(["no caption", NO_NAME_AND_CAPTION])
    findings.add("malformed_line", skipped[~is_blank & ~is_empty], num_lines)
    findings.add("empty_caption", skipped[is_empty], num_lines)
    findings.add("blank_line", skipped[is_blank], num_lines)
    left_out = list(table.attrs.get("left_out", []))
    findings.add("left_out_image", pd.DataFrame({"image": left_out}), table["image"].nunique() + len(left_out))
    empty_splits = [split for split in ("train", "val") if not (table["split"] == split).any()]
    findings.add("empty_split", pd.DataFrame({"split": empty_splits}), len(SPLITS))


def check_texts(table: pd.DataFrame, text: TextConfig, lists: WordLists, max_length: int, findings: Findings) -> None:
    """Finds captions that are not usable text, or that have too few or too many words.

    Args:
        table: as `read_corpus` returns it.
        text: language and normalization.
        lists: the words of each caption of the table.
        max_length: model.max_length, which leaves room for one word fewer.
        findings: receives the results.
    """
    captions = table["caption"].tolist()
    bit = {kind: 1 << index for index, kind in enumerate(CAPTION_PROBLEMS)}
    problems = np.fromiter(
        (sum(map(bit.__getitem__, caption_problems(caption, text.language))) for caption in captions),
        np.int64,
        len(captions),
    )
    # Kana in English captions are reported as wrong_script.
    kinds = [kind for kind in CAPTION_PROBLEMS if kind != "kana_or_hangul" or text.language == "zh"]
    masks = {kind: problems & bit[kind] > 0 for kind in kinds}
    masks["full_width"] = _matches(captions, FULL_WIDTH.search) & (not text.nfkc)
    masks["control_characters"] = _matches(captions, CONTROL.search)
    is_usable, lengths = problems == 0, lists.lengths
    masks["truncated_caption"] = _truncated(table)
    masks |= {"no_words": is_usable & (lengths == 0), "one_word": is_usable & (lengths == 1)}
    # START takes one position; END is only predicted.
    masks["too_long"] = lengths + 1 > max_length
    for kind, mask in masks.items():
        findings.add(kind, table[mask], len(table), _details(kind, table["caption"][mask], lengths[mask]))


def _details(kind: str, captions: pd.Series, lengths: np.ndarray) -> list[str] | None:
    """Returns details that are hard to see in the captions themselves."""
    if kind == "too_long":
        return [f"{length} words" for length in lengths.tolist()]
    if kind == "control_characters":
        distinct = (dict.fromkeys(CONTROL.findall(caption)) for caption in captions)
        return [" ".join(f"U+{ord(character):04X}" for character in characters) for characters in distinct]
    return None


def _truncated(table: pd.DataFrame) -> np.ndarray:
    """Which captions an export has cut off, judged by the others of their source."""
    mask = np.zeros(len(table), bool)
    for rows in table.groupby("source", observed=True).indices.values():
        if found := find_truncated(table["caption"].iloc[rows].tolist()):
            mask[rows[found.rows]] = True
    return mask


def _matches(captions: list[str], search: Callable[[str], object]) -> np.ndarray:
    return np.fromiter((search(caption) is not None for caption in captions), bool, len(captions))


def check_scripts(table: pd.DataFrame, text: TextConfig, findings: Findings) -> dict[str, int] | None:
    """Finds captions in the less frequent form of Chinese, unless `text.script` converts all captions.

    Returns:
        The number of captions with characters that are simplified only, traditional only, both or neither
        ("either": the caption is valid in both forms); None without OpenCC.
    """
    forms = han_forms()
    if forms is None:
        return None
    captions = table["caption"].tolist()
    simplified, traditional = (
        np.fromiter((not form.isdisjoint(caption) for caption in captions), bool, len(captions)) for form in forms
    )
    if text.script is None:
        rarer, form = (simplified, forms[0]) if simplified.sum() < traditional.sum() else (traditional, forms[1])
        details = ["".join(dict.fromkeys(filter(form.__contains__, caption))) for caption in table["caption"][rarer]]
        findings.add("mixed_scripts", table[rarer], len(table), details)
    both = simplified & traditional
    masks = {"simplified": simplified & ~both, "traditional": traditional & ~both, "both": both}
    masks["either"] = ~(simplified | traditional)
    return {name: int(mask.sum()) for name, mask in masks.items()}


def check_duplicates(table: pd.DataFrame, findings: Findings) -> list[dict[str, Any]]:
    """Finds captions that repeat under one image or under many, and images with identical captions.

    Returns:
        The most frequent captions, each with its number of occurrences and of images.
    """
    image_ids, images = pd.factorize(table["image"])
    caption_ids, captions = pd.factorize(table["caption"])
    pairs = pd.Series(image_ids.astype(np.int64) * len(captions) + caption_ids)
    findings.add("duplicate_caption", table[pairs.duplicated().to_numpy()], len(table))
    pair_images, pair_captions = np.divmod(pairs.drop_duplicates().to_numpy(), len(captions))
    rows, originals = _identical_caption_sets(pair_images, pair_captions, len(images), len(captions))
    first_row = np.unique(image_ids, return_index=True)[1]
    copies = table.iloc[first_row[rows]].drop(columns="caption")
    findings.add("identical_captions", copies, len(images), [f"same as {images[index]}" for index in originals])

    counts = np.bincount(caption_ids)
    order = np.argsort(-counts, kind="stable")
    frequent = order[counts[order] > FREQUENT_SHARE * len(table)]
    frequent = frequent[counts[frequent] > 2]  # in a tiny corpus every caption exceeds the share
    first_row = np.unique(caption_ids, return_index=True)[1]
    details = [f"{counts[index]} times" for index in frequent]
    findings.add("frequent_caption", table.iloc[first_row[frequent]], len(captions), details)
    num_images = np.bincount(pair_captions)
    top = [index for index in order[: MAX_LISTED // 2] if counts[index] > 1]
    return [
        {"caption": str(captions[index]), "count": int(counts[index]), "images": int(num_images[index])}
        for index in top
    ]


def _identical_caption_sets(
    pair_images: np.ndarray, pair_captions: np.ndarray, num_images: int, num_captions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images whose set of two or more captions an earlier image has too, and those earlier images.

    Args:
        pair_images, pair_captions: ids of the distinct (image, caption) pairs.
        num_images, num_captions: numbers of distinct images and captions.
    """
    # The sum of one random number per caption identifies a set regardless of its order.
    random_ids = np.random.default_rng(0).integers(0, 2**63, num_captions, dtype=np.uint64)
    sums = np.zeros(num_images, np.uint64)
    np.add.at(sums, pair_images, random_ids[pair_captions])
    several = np.flatnonzero(np.bincount(pair_images, minlength=num_images) >= 2)
    first_with_sum = pd.Series(several).groupby(sums[several]).transform("first").to_numpy()
    is_copy = first_with_sum != several
    return several[is_copy], first_with_sum[is_copy]


def check_machine_captions(table: pd.DataFrame, findings: Findings) -> None:
    """Finds machine translations in val and test, where only human captions are references."""
    evaluated = table[table["split"].isin(("val", "test"))]
    is_machine = machine_references(evaluated)
    findings.add("machine_in_evaluation", evaluated[is_machine], len(evaluated))
    with_reference = set(evaluated["image"][~is_machine])
    without = evaluated[~evaluated["image"].isin(with_reference)].drop_duplicates("image").drop(columns="caption")
    findings.add("image_without_reference", without, evaluated["image"].nunique())
