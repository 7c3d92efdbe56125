"""Statistics of a corpus: numbers of images and captions, caption lengths, and vocabulary coverage."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.config import ORIGINS, SPLITS, TextConfig
from caption_tx.data.checks.findings import MAX_LISTED
from caption_tx.data.corpus.summary import summarize_values
from caption_tx.data.corpus.table import machine_references
from caption_tx.data.text.vocabulary import build_vocabulary, is_valid_word
from caption_tx.data.text.word_lists import WordLists

MIN_FREQUENCIES = (1, 2, 3, 4, 5, 8, 10, 20, 50)
"""Values of text.min_frequency for which the vocabulary is reported, besides the configured one."""


def count_images_and_captions(table: pd.DataFrame) -> dict[str, Any]:
    """Counts images and captions in total, per image and per split, and what was skipped; ready for JSON."""
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
        "captions_per_image": distribution(per_image),
        "splits": splits,
        "stage_captions": _captions_per_stage(table),
        "origins": {name: count for name in ORIGINS if (count := int((table["origin"] == name).sum()))},
        "left_out_images": len(table.attrs.get("left_out", [])),
        "skipped": len(skipped),
        "skipped_reasons": dict(Counter(reason for _, _, reason in skipped)),
    }


def _captions_per_stage(table: pd.DataFrame) -> dict[str, int]:
    """Counts the training captions of each stage."""
    stages = table["stage"][table["split"] == "train"].to_numpy() if "stage" in table else np.zeros(0, int)
    values, counts = np.unique(stages, return_counts=True)
    return {str(stage): int(count) for stage, count in zip(values, counts, strict=True)}


def distribution(values: np.ndarray) -> dict[str, Any]:
    """Returns summary statistics and the histogram ([[value, count], ..]) of integers; ready for JSON."""
    distinct, counts = np.unique(values, return_counts=True)
    return {
        **summarize_values(values),
        "histogram": [[int(value), int(count)] for value, count in zip(distinct, counts, strict=True)],
    }


def caption_length_statistics(table: pd.DataFrame, lists: WordLists, max_length: int) -> dict[str, Any]:
    """Returns the distributions of words and characters per caption, and the limit of the model in words."""
    return {
        "words": distribution(lists.lengths),
        "characters": distribution(table["caption"].str.len().to_numpy()),
        "max_words": max_length - 1,  # START takes one position; END is only predicted
    }


def vocabulary_statistics(table: pd.DataFrame, text: TextConfig, lists: WordLists) -> dict[str, Any]:
    """Returns the size of the training vocabulary and the share of unknown words per split; ready for JSON.

    Machine translations outside the training split are never references, so they are excluded.

    Args:
        table: as `read_corpus` returns it.
        text: the settings of the vocabulary.
        lists: the words of each caption of the table.
    """
    used = ~machine_references(table).to_numpy()
    table, lists = table[used], lists.take(used)
    words = lists.distinct_words
    counts = {split: lists.take((table["split"] == split).to_numpy()).counts() for split in SPLITS}
    counts = {split: count for split, count in counts.items() if count.sum()}
    training_counts = counts.get("train", np.zeros(len(words), np.int64))
    is_valid = np.fromiter(map(is_valid_word, words), bool, len(words))

    def unknown_share(known: np.ndarray) -> dict[str, float]:
        return {split: round(float(count[~known].sum() / count.sum()), 6) for split, count in counts.items()}

    by_min_frequency = []
    for threshold in sorted({*MIN_FREQUENCIES, text.min_frequency}):
        known = is_valid & (training_counts >= threshold)
        by_min_frequency.append(
            {"min_frequency": threshold, "known_words": int(known.sum()), "unknown_share": unknown_share(known)}
        )
    training_lists = lists.take((table["split"] == "train").to_numpy())
    vocabulary = set(build_vocabulary(training_lists, text.max_vocabulary_size, text.min_frequency))
    known = is_valid & np.fromiter(map(vocabulary.__contains__, words), bool, len(words))
    totals = lists.counts()
    unknown = np.flatnonzero(~known & (totals > 0)).tolist()
    unknown.sort(key=lambda index: (-totals[index], words[index]))
    return {
        "distinct_words": int((totals > 0).sum()),
        "words": len(lists.values),
        "min_frequency": text.min_frequency,
        "max_vocabulary_size": text.max_vocabulary_size,
        "known_words": int(known.sum()),
        "unknown_share": unknown_share(known),
        "unknown_words": len(unknown),
        "most_frequent_unknown": [[words[index], int(totals[index])] for index in unknown[:MAX_LISTED]],
        "by_min_frequency": by_min_frequency,
    }
