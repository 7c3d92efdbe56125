"""A corpus as training sees it: which captions are used, their words, token_ids and packed rows."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from caption_tx.config import Config
from caption_tx.data.batches import PackedCaptions, pack_captions
from caption_tx.data.checks.caption_problems import caption_problems
from caption_tx.data.corpus import table as corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import build_vocabulary
from caption_tx.data.text.word_lists import WordLists
from caption_tx.errors import ConfigError, CorpusError

TRAINING_SPLITS = ("train", "val")
"""What training reads; the test split is for evaluation alone."""


MACHINE_MARK = "[MACHINE]"
"""Stands before machine translations that are learned beside people's captions; no vocabulary has it."""


@dataclass(frozen=True)
class SegmentedCorpus:
    """The captions that training uses, row by row with their words, and those that were left out and why."""

    table: pd.DataFrame
    lists: WordLists
    left_out: pd.DataFrame

    def of(self, split: str, stage: int | None = None, onward: bool = False) -> tuple[pd.DataFrame, WordLists]:
        """The rows of a split (and of one stage, or of it and those after it), and their words."""
        chosen = self.table["split"] == split
        if stage is not None:
            chosen &= (self.table["stage"] >= stage) if onward else (self.table["stage"] == stage)
        return self.table[chosen], self.lists.take(chosen.to_numpy())

    def references(self, split: str, most: int) -> dict[str, list[str]]:
        """The captions of so many images, spread evenly over the split and so the same in every run on it."""
        chosen = self.table[self.table["split"] == split]
        found: dict[str, list[str]] = {}
        for name, caption in zip(chosen["image"], chosen["caption"], strict=True):
            found.setdefault(name, []).append(caption)
        names = list(found)
        places = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
        return {names[place]: found[names[place]] for place in places}


def segment_corpus(
    table: pd.DataFrame, segmenter: Segmenter, unreadable: Mapping[str, str], leave_out: Collection[str] = ()
) -> SegmentedCorpus:
    """Splits the captions of the training and validation splits into words.

    Left out are captions without words or without a readable image, and machine translations outside the
    training split, which are no references.

    Args:
        table: as `read_corpus` gives it.
        unreadable: names of images, with the reason.
        leave_out: problems in `config.CAPTION_PROBLEMS`; captions with one of them are left out.
    """
    attrs = table.attrs
    table = table[table["split"].isin(TRAINING_SPLITS)]
    lists = WordLists.from_lists(segmenter.segment(caption) for caption in table["caption"])
    reasons = np.full(len(table), None, dtype=object)
    if leave_out:
        problems = (caption_problems(caption, segmenter.config.language) for caption in table["caption"])
        reasons[:] = [next((problem for problem in found if problem in leave_out), None) for found in problems]
    reasons[lists.lengths == 0] = "no words in the caption"
    lost = table["image"].isin(unreadable.keys()).to_numpy()
    reasons[lost] = [f"image cannot be read: {unreadable[name]}" for name in table["image"][lost]]
    reasons[corpus.machine_references(table).to_numpy()] = "machine translation, not used as a reference"
    used = np.equal(reasons, None)
    left_out = table[~used].assign(reason=reasons[~used])
    parts = [
        pd.DataFrame(attrs.get("skipped", []), columns=["source", "line", "reason"]),
        pd.DataFrame({"image": attrs.get("left_out", []), "reason": "image in no split list"}),
        left_out.astype({"source": object}),
    ]
    columns = ["source", "line", "image", "caption", "reason"]
    left_out = pd.concat([part.reindex(columns=columns) for part in parts if len(part)] or parts[-1:])
    left_out = left_out.reindex(columns=columns).astype({"line": "Int64"})
    kept = table.loc[used, ["image", "caption", "split", "origin", "weight", "stage"]]
    return SegmentedCorpus(kept, lists.take(used), left_out.reset_index(drop=True))


@dataclass(frozen=True)
class TrainingData:
    """What the model is trained on.

    `counts` int64 (V,) are those of the training labels; `train` has one set of packed captions for each
    stage, in order; `val` is None without a validation split.
    """

    tokenizer: Tokenizer
    counts: np.ndarray
    train: dict[int, PackedCaptions]
    val: PackedCaptions | None

    @property
    def fingerprint(self) -> str:
        """Differs where the vocabulary or anything trained on differs."""
        return fingerprint(self.tokenizer, {**self.train, "val": self.val})


def fingerprint(tokenizer: Tokenizer, parts: Mapping[int | str, PackedCaptions | None]) -> str:
    """SHA-256 of a vocabulary and of captions by name, with their images and weights."""
    digest = hashlib.sha256("\n".join(tokenizer.vocabulary).encode())
    for name, packed in parts.items():
        digest.update(f"\0{name}\0".encode())
        if packed is None:
            continue
        digest.update("\n".join(packed.images).encode("utf-8", "surrogatepass"))
        for array in (packed.caption_splits, packed.tokens.row_splits, packed.tokens.values, packed.weights):
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def tokenize_corpus(config: Config, words: SegmentedCorpus, log: Callable[[str], None]) -> TrainingData:
    """Builds the vocabulary on the training split, and packs the captions of each image.

    The words of the last stage make the vocabulary: those that earlier stages have beside them are unknown, since the
    last stage says what captions are to be like (experiments/levers.py).

    Where people's captions and machine translations are learned together, the latter begin with `MACHINE_MARK`. It is
    unknown to every vocabulary, so it is read but never predicted: captions without it are people's, and so are those
    that are generated.

    Raises:
        CorpusError: nothing is left to train on.
        ConfigError: no word is frequent enough.
    """
    if not (words.table["split"] == "train").any():
        raise CorpusError("Nothing is left to train on: no caption with words and a readable image in split 'train'.")
    stages = sorted(int(stage) for stage in words.table.loc[words.table["split"] == "train", "stage"].unique())
    spoken = words.of("train", stages[-1])[1]
    vocabulary = build_vocabulary(spoken, config.text.max_vocabulary_size, config.text.min_frequency)
    tokenizer = Tokenizer(vocabulary, config.text.language)
    if tokenizer.vocabulary_size == 4:
        raise ConfigError(f"No word is seen {config.text.min_frequency} times; lower text.min_frequency.")
    counts = np.zeros(tokenizer.vocabulary_size, np.int64)

    def pack(name: str, split: str, stage: int | None = None) -> PackedCaptions:
        rows, lists = words.of(split, stage, config.training.mix_stages)
        machine = (rows["origin"] == "machine").to_numpy()
        marked = lists.prepend(MACHINE_MARK, machine) if machine.any() and not machine.all() else lists
        # One token more than positions: the last is only ever a label.
        tokens = tokenizer.tokenize(marked, config.model.max_length + 1)
        stats = tokenizer.coverage(lists)
        log(
            f"{name}: {rows['image'].nunique():,} images, {len(rows):,} captions, longest {stats['longest_caption']} "
            f"words, {stats['oov_share']:.2%} of words unknown, {tokens.num_truncated} captions cut at "
            f"{config.model.max_length} tokens."
        )
        if split == "train":
            counts[:] += tokenizer.count_tokens(tokens)
        weights = rows["weight"].to_numpy() if split == "train" else None
        return pack_captions(rows["image"], tokens, weights)

    several = len(stages) > 1
    for stage in stages:
        weights = words.of("train", stage, config.training.mix_stages)[0]["weight"]
        if weights.iloc[0] != 1 and weights.nunique() == 1:
            log(f"All captions of stage {stage} weigh {weights.iloc[0]:g}, so the weight changes nothing.")
    train = {stage: pack(f"train, stage {stage}" if several else "train", "train", stage) for stage in stages}
    val = None
    if (words.table["split"] == "val").any():
        val = pack("val", "val")
    else:
        log("There are no captions in split 'val'; the best epoch is chosen by the training loss.")
    counts[tokenizer.unk_token_id] = 0
    log(f"Vocabulary: {tokenizer.vocabulary_size:,} tokens.")
    return TrainingData(tokenizer, counts, train, val)


def release_memory() -> None:
    """Gives freed memory back to the system, where the C library can: glibc would keep a fifth of a GB.

    Reading and cutting a million captions leaves that much behind, and training needs none of it.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # the last on Windows, which has no library None
        ctypes.CDLL(None).malloc_trim(0)
