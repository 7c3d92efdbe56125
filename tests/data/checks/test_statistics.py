"""Statistics of a corpus: counts, histograms and the vocabulary."""

import json

import numpy as np
import pytest

from caption_tx.config import TextConfig
from caption_tx.data.checks.findings import MAX_LISTED
from caption_tx.data.checks.text_report import format_report
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.word_lists import WordLists


def test_words_of_machine_captions_outside_training_are_not_counted(corpus, check):
    rows = [("a.jpg", "a dog runs"), ("b.jpg", "a dog", "val"), ("b.jpg", "zebra zebra zebra zebra", "val")]
    table = corpus(*rows).assign(origin=["machine", "human", "machine"])
    vocabulary = check(table, "en", text={"min_frequency": 1})["vocabulary"]
    assert vocabulary["unknown_share"] == {"train": 0.0, "val": 0.0}
    assert (vocabulary["words"], vocabulary["distinct_words"], vocabulary["most_frequent_unknown"]) == (5, 3, [])
    table["origin"] = "human"
    assert check(table, "en", text={"min_frequency": 1})["vocabulary"]["unknown_share"]["val"] == pytest.approx(4 / 6)


def test_counts_and_histograms(corpus, check):
    rows = [("a.jpg", "a dog runs"), ("a.jpg", "a cat sits here"), ("b.jpg", "dogs"), ("b.jpg", "a cat", "train")]
    report = check(corpus(*rows, ("c.jpg", "a very long caption of eight words indeed", "test")), "en")
    assert (report["images"], report["captions"]) == (3, 5)
    assert report["captions_per_image"]["histogram"] == [[1, 1], [2, 2]]
    assert report["caption_length"]["words"]["histogram"] == [[1, 1], [2, 1], [3, 1], [4, 1], [8, 1]]
    assert report["caption_length"]["characters"]["max"] == 41
    assert report["caption_length"]["words"]["median"] == 3.0
    assert report["findings"]["empty_split"]["examples"] == [{"split": "val"}]
    assert json.loads(json.dumps(report)) == report


def test_the_vocabulary_is_that_of_training(corpus, check):
    from caption_tx.data.text.tokenizer import Tokenizer
    from caption_tx.data.text.vocabulary import build_vocabulary

    random = np.random.default_rng(0)
    rows = []
    for index in range(200):
        # The last 20 words are absent from the first 70 captions, the training split.
        words = random.choice([f"w{n}" for n in range(40 if index < 70 else 60)], 7)
        rows.append((f"{index}.jpg", " ".join(words), ["train", "val", "test"][index // 70 % 3]))
    table = corpus(*rows)
    for min_frequency, max_size in ((4, 1000), (7, 20), (13, 1000)):
        text = {"min_frequency": min_frequency, "max_vocabulary_size": max_size}
        vocabulary = check(table, "en", text=text)["vocabulary"]
        segmenter = Segmenter(TextConfig(language="en"))
        lists = {
            split: WordLists.from_lists(map(segmenter.segment, table["caption"][table["split"] == split]))
            for split in ("train", "val", "test")
        }
        tokenizer = Tokenizer(build_vocabulary(lists["train"], max_size, min_frequency), "en")
        assert vocabulary["known_words"] == tokenizer.vocabulary_size - 4
        for split, words in lists.items():
            assert vocabulary["unknown_share"][split] == pytest.approx(tokenizer.coverage(words)["oov_share"], abs=1e-6)
        everything = [*lists["train"], *lists["val"], *lists["test"]]
        unknown = {tuple(item) for item in tokenizer.coverage(everything, 1000)["oov_most_common"]}
        most_frequent = [tuple(item) for item in vocabulary["most_frequent_unknown"]]
        assert set(most_frequent) <= unknown
        counts = [count for _, count in most_frequent]
        assert counts == sorted((count for _, count in unknown), reverse=True)[:MAX_LISTED]
        entries = {entry["min_frequency"]: entry for entry in vocabulary["by_min_frequency"]}
        assert list(entries) == sorted({1, 2, 3, 4, 5, 8, 10, 20, 50, min_frequency})
        counts = lists["train"].counts()
        assert entries[min_frequency]["known_words"] == (counts >= min_frequency).sum()
        share = counts[counts < min_frequency].sum() / counts.sum()
        assert entries[min_frequency]["unknown_share"]["train"] == pytest.approx(share, abs=1e-6)
    assert "text.max_vocabulary_size keeps 16 words" in format_report(
        check(table, "en", text={"max_vocabulary_size": 20})
    )
