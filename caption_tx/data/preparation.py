"""Selects the captions that training uses, and turns them into words, token_ids and packed rows."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from caption_tx.config import Config
from caption_tx.data.batches.packing import PackedCaptions, pack_captions
from caption_tx.data.checks.caption_problems import caption_problems
from caption_tx.data.checks.language import language_warning
from caption_tx.data.corpus import table as corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer, TokenLists
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS, build_vocabulary
from caption_tx.data.text.word_lists import WordLists
from caption_tx.errors import ConfigError, CorpusError

TRAINING_SPLITS = ("train", "val")
"""The splits that training reads; the test split is for evaluation only."""

MACHINE_TOKEN = "[MACHINE]"
"""Precedes machine translations that are trained on together with human captions; it is in no vocabulary."""

_MAX_UNKNOWN_SHARE = 0.5


@dataclass(frozen=True)
class SegmentedCorpus:
    """The captions of the training and validation splits, segmented into words.

    Attributes:
        table: one row per caption: image, caption, split, origin, weight and stage.
        words: the words of each row's caption.
        left_out: captions, lines and images that are not used, each with its reason.
    """

    table: pd.DataFrame
    words: WordLists
    left_out: pd.DataFrame

    def select(
        self, split: str, stage: int | None = None, later_stages: bool = False
    ) -> tuple[pd.DataFrame, WordLists]:
        """The rows of a split and their words; of one stage, or of it and all `later_stages`, if `stage` is given."""
        mask = self.table["split"] == split
        if stage is not None:
            mask &= (self.table["stage"] >= stage) if later_stages else (self.table["stage"] == stage)
        return self.table[mask], self.words.take(mask.to_numpy())

    def references(self, split: str, max_images: int) -> dict[str, list[str]]:
        """The captions of at most `max_images` images, evenly spaced over the split and thus the same in every run."""
        rows = self.table[self.table["split"] == split]
        captions: dict[str, list[str]] = {}
        for name, caption in zip(rows["image"], rows["caption"], strict=True):
            captions.setdefault(name, []).append(caption)
        return {name: captions[name] for name in corpus.evenly_spaced(captions, max_images)}


def segment_corpus(
    table: pd.DataFrame, segmenter: Segmenter, unreadable: Mapping[str, str], leave_out: Collection[str] = ()
) -> SegmentedCorpus:
    """Segments the captions of the training and validation splits.

    Captions without words or without a readable image are left out. So are machine translations outside the training
    split, since they are no references.

    Args:
        table: as `read_corpus` returns it.
        segmenter: splits a caption into words.
        unreadable: names of images, with the reason.
        leave_out: problems from `config.CAPTION_PROBLEMS`; captions that have one of them are left out.
    """
    skipped_lines, unlisted_images = table.attrs.get("skipped", []), table.attrs.get("left_out", [])
    table = table[table["split"].isin(TRAINING_SPLITS)]
    words = WordLists.from_lists(segmenter.segment(caption) for caption in table["caption"])
    reasons = np.full(len(table), None, dtype=object)
    if leave_out:
        problems = (caption_problems(caption, segmenter.config.language) for caption in table["caption"])
        reasons[:] = [next((name for name in names if name in leave_out), None) for names in problems]
    reasons[words.lengths == 0] = "no words in the caption"
    without_image = table["image"].isin(unreadable.keys()).to_numpy()
    reasons[without_image] = [f"image cannot be read: {unreadable[name]}" for name in table["image"][without_image]]
    reasons[corpus.machine_references(table).to_numpy()] = "machine translation, not used as a reference"
    used = np.equal(reasons, None)
    parts = [
        pd.DataFrame(skipped_lines, columns=["source", "line", "reason"]),
        pd.DataFrame({"image": unlisted_images, "reason": "image in no split list"}),
        table[~used].assign(reason=reasons[~used]).astype({"source": object}),
    ]
    columns = ["source", "line", "image", "caption", "reason"]
    left_out = pd.concat([part.reindex(columns=columns) for part in parts if len(part)] or parts[-1:])
    left_out = left_out.reindex(columns=columns).astype({"line": "Int64"})
    kept = table.loc[used, ["image", "caption", "split", "origin", "weight", "stage"]]
    return SegmentedCorpus(kept, words.take(used), left_out.reset_index(drop=True))


@dataclass(frozen=True)
class TrainingData:
    """What the model is trained on.

    Attributes:
        tokenizer: has the vocabulary of the training captions.
        label_counts: how often each token is a training label, int64 (V,).
        train: the packed captions of each stage, in order.
        val: the packed captions of the validation split; None without one.
    """

    tokenizer: Tokenizer
    label_counts: np.ndarray
    train: dict[int, PackedCaptions]
    val: PackedCaptions | None

    @property
    def fingerprint(self) -> str:
        """Changes with the vocabulary and with any caption, image or weight."""
        return fingerprint(self.tokenizer, {**self.train, "val": self.val})


def fingerprint(tokenizer: Tokenizer, parts: Mapping[int | str, PackedCaptions | None]) -> str:
    """SHA-256 of a vocabulary and of named sets of captions, with their images and weights."""
    digest = hashlib.sha256("\n".join(tokenizer.vocabulary).encode())
    for name, packed in parts.items():
        digest.update(f"\0{name}\0".encode())
        if packed is None:
            continue
        digest.update("\n".join(packed.images).encode("utf-8", "surrogatepass"))
        targets = () if packed.targets is None else (packed.targets.indices, packed.targets.coverage)
        for array in (*targets, packed.caption_splits, packed.tokens.row_splits, packed.tokens.values, packed.weights):
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def tokenize_corpus(
    config: Config, segmented: SegmentedCorpus, log: Callable[[str], None], keep_words: Sequence[str] = ()
) -> TrainingData:
    """Builds the vocabulary from the training split, and packs the captions of each image.

    Only the words of the last stage are in the vocabulary, since its captions show what generated captions should be
    like (experiments/ablations.py). Other words of earlier stages are unknown.

    If a stage contains both human captions and machine translations, the translations begin with `MACHINE_TOKEN`. The
    token is in no vocabulary, so the model reads it but never predicts it: captions without it are human, and so are
    generated captions.

    Args:
        config: the settings.
        segmented: the words of the captions.
        log: gets lines of text.
        keep_words: words that the vocabulary has in any case, beyond `text.max_vocabulary_size`.

    Raises:
        CorpusError: there is nothing to train on.
        ConfigError: no word is frequent enough.
    """
    if not (segmented.table["split"] == "train").any():
        raise CorpusError(
            "Nothing is left to train on: no caption with words and a readable image in split 'train'; if the name of "
            "the caption file says otherwise, name its split: 'FILE:split=train', or the column split of a DataFrame."
        )
    train_rows = segmented.table["split"] == "train"
    stages = sorted(int(stage) for stage in segmented.table.loc[train_rows, "stage"].unique())
    last_words = segmented.select("train", stages[-1])[1]
    vocabulary = build_vocabulary(last_words, config.text.max_vocabulary_size, config.text.min_frequency)
    vocabulary = list(dict.fromkeys([*vocabulary, *keep_words]))
    tokenizer = Tokenizer(vocabulary, config.text.language)
    if tokenizer.vocabulary_size == len(SPECIAL_TOKENS):
        advice = f"lower min_frequency (--min-frequency){_language_hint(config, segmented)}"
        raise ConfigError(f"No word occurs {config.text.min_frequency} times; {advice}.")
    mix = config.training.mix_stages
    for stage in stages:
        weights = segmented.select("train", stage, mix)[0]["weight"]
        if weights.iloc[0] != 1 and weights.nunique() == 1:
            log(f"All captions of stage {stage} have weight {weights.iloc[0]:g}, so the weight has no effect.")
    label_counts = np.zeros(tokenizer.vocabulary_size, np.int64)
    train = {}
    for stage in stages:
        name = f"train, stage {stage}" if len(stages) > 1 else "train"
        rows, words = segmented.select("train", stage, mix)
        tokens = _tokenize(name, rows, words, tokenizer, config.model.max_length, log)
        label_counts += tokenizer.count_tokens(tokens)
        train[stage] = pack_captions(rows["image"], tokens, rows["weight"].to_numpy())
    label_counts[tokenizer.unk_token_id] = 0
    val = None
    if (segmented.table["split"] == "val").any():
        rows, words = segmented.select("val")
        val = pack_captions(rows["image"], _tokenize("val", rows, words, tokenizer, config.model.max_length, log))
    else:
        log("Split 'val' has no captions; the training loss selects the best epoch.")
    log(f"Vocabulary: {tokenizer.vocabulary_size:,} tokens.")
    return TrainingData(tokenizer, label_counts, train, val)


def _language_hint(config: Config, segmented: SegmentedCorpus) -> str:
    """Advice if captions in another language are why no word is frequent enough."""
    warning = language_warning(segmented.table["caption"], config.text.language)
    return f", or set the right language; {warning.rstrip('.')}" if warning else ""


def _tokenize(
    name: str,
    rows: pd.DataFrame,
    words: WordLists,
    tokenizer: Tokenizer,
    max_length: int,
    log: Callable[[str], None],
) -> TokenLists:
    """The token_ids of the captions in `rows`, after a line about them in the log."""
    machine = (rows["origin"] == "machine").to_numpy()
    marked = words.prepend(MACHINE_TOKEN, machine) if machine.any() and not machine.all() else words
    # One token more than positions: the last is only ever a label.
    tokens = tokenizer.tokenize(marked, max_length + 1)
    report = tokenizer.coverage(words)
    log(
        f"{name}: {rows['image'].nunique():,} images, {len(rows):,} captions, longest {report['longest_caption']} "
        f"words, {report['oov_share']:.2%} of words unknown, {tokens.num_truncated} captions truncated to "
        f"{max_length} tokens."
    )
    if report["oov_share"] > _MAX_UNKNOWN_SHARE:
        log(
            f"warning: {report['oov_share']:.0%} of the words in {name} are unknown, so captions cannot be learned; "
            "lower min_frequency (--min-frequency), or check language (--language)."
        )
    return tokens


def release_memory() -> None:
    """Returns freed memory to the system, if the C library can.

    Reading and segmenting a million captions leaves a fifth of a GB in glibc, which training does not need.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError on Windows
        ctypes.CDLL(None).malloc_trim(0)
