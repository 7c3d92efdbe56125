"""From a table of captions to words, a vocabulary and packed token_ids."""

import numpy as np
import pandas as pd
import pytest

from caption_tx.config import Config, TextConfig, TrainingConfig
from caption_tx.data.preparation import release_memory, segment_corpus, tokenize_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import ConfigError


def test_captions_that_are_not_used_are_listed_with_the_reason():
    table = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d", "d", "e"],
            "caption": ["a dog", "!!!", "a cat", "dog machine", "a dog human", "never read"],
            "split": ["train", "train", "val", "val", "val", "test"],
            "origin": ["machine", "human", "human", "machine", "human", "human"],
            "weight": np.float32(1),
            "stage": 1,
            "source": "x",
            "line": range(1, 7),
        }
    )
    table.attrs = {"skipped": [("x", 9, "blank line")], "left_out": ["z.jpg"]}
    segmented = segment_corpus(table, Segmenter(TextConfig(language="en")), {"c": "c is empty (0 bytes)."})
    rows, words = segmented.select("train")
    assert (rows["image"].tolist(), list(words)) == (["a"], [["a", "dog"]])
    rows, words = segmented.select("val")
    assert (rows["caption"].tolist(), list(words)) == (["a dog human"], [["a", "dog", "human"]])
    assert len(segmented.select("test")[0]) == 0
    left_out = segmented.left_out.astype(object).where(segmented.left_out.notna(), None)
    assert left_out[["line", "image", "reason"]].to_numpy().tolist() == [
        [9, None, "blank line"],
        [None, "z.jpg", "image in no split list"],
        [2, "b", "no words in the caption"],
        [3, "c", "image cannot be read: c is empty (0 bytes)."],
        [4, "d", "machine translation, not used as a reference"],
    ]


def test_the_vocabulary_comes_from_the_last_stage():
    table = pd.DataFrame(
        {
            "image": ["a", "a", "b", "b", "c"],
            "caption": ["one hound", "one hound", "a dog", "one dog", "a cat"],
            "split": ["train"] * 4 + ["val"],
            "origin": ["machine", "machine", "human", "human", "human"],
            "stage": [1, 1, 2, 2, 2],
        }
    ).assign(weight=np.float32(1), source="x", line=range(5))
    config = Config(text=TextConfig(language="en", min_frequency=1))
    data = tokenize_corpus(config, segment_corpus(table, Segmenter(config.text), {}), lambda text: None)
    assert sorted(data.tokenizer.vocabulary[4:]) == ["a", "dog", "one"]
    unknown = data.tokenizer.unk_token_id
    assert (data.train[1].tokens.values == unknown).sum() == 2
    assert (data.train[2].tokens.values == unknown).sum() == 0
    assert data.label_counts[data.tokenizer.vocabulary.index("one")] == 3


def test_mixed_stages_include_later_captions_and_mark_machine_translations():
    table = pd.DataFrame(
        {
            "image": ["a", "a", "b", "b"],
            "caption": ["one hound", "a dog", "one dog", "a cat"],
            "split": ["train"] * 3 + ["val"],
            "origin": ["machine", "human", "machine", "human"],
            "stage": [1, 2, 1, 2],
        }
    ).assign(weight=np.float32(1), source="x", line=range(4))
    text = TextConfig(language="en", min_frequency=1)
    segmented = segment_corpus(table, Segmenter(text), {})
    mixed, separate = (
        tokenize_corpus(Config(text=text, training=TrainingConfig(mix_stages=mix)), segmented, lambda text: None)
        for mix in (True, False)
    )
    assert sorted(mixed.tokenizer.vocabulary[4:]) == ["a", "dog"]
    a, dog = (mixed.tokenizer.vocabulary.index(word) for word in ("a", "dog"))
    start, end, unknown = mixed.tokenizer.start_token_id, mixed.tokenizer.end_token_id, mixed.tokenizer.unk_token_id
    assert mixed.train[1].images == ("a", "b")
    assert [row.tolist() for row in mixed.train[1].tokens] == [
        [start, unknown, unknown, unknown, end],  # the mark, then the words
        [start, a, dog, end],
        [start, unknown, unknown, dog, end],
    ]
    assert [row.tolist() for row in mixed.train[2].tokens] == [[start, a, dog, end]]
    assert [row.tolist() for row in separate.train[1].tokens] == [
        [start, unknown, unknown, end],  # without human captions there is no mark
        [start, unknown, dog, end],
    ]
    for data in (mixed, separate):
        assert [row.tolist() for row in data.val.tokens] == [[start, a, unknown, end]]
        assert data.label_counts[unknown] == 0


def test_captions_with_a_listed_problem_are_left_out():
    captions = ["a dog on a hill", "see www.dogs.com/now", "a <b>big</b> www.dogs.com", "two cats"]
    table = pd.DataFrame({"image": list("abcd"), "caption": captions, "split": "train", "origin": "human"})
    table = table.assign(weight=np.float32(1), stage=1, source="x", line=range(1, 5))
    segmenter = Segmenter(TextConfig(language="en"))
    assert len(segment_corpus(table, segmenter, {}).table) == 4
    segmented = segment_corpus(table, segmenter, {}, ["html"])
    assert segmented.left_out[["line", "reason"]].to_numpy().tolist() == [[3, "html"]]
    assert segmented.table["image"].tolist() == ["a", "b", "d"]
    assert segment_corpus(table, segmenter, {}, ["url"]).left_out["line"].tolist() == [
        2,
        3,
    ]  # the HTML caption has a URL too


@pytest.mark.parametrize("change", ["none", "vocabulary", "images", "validation", "weight"])
def test_the_fingerprint_changes_with_captions_images_and_weights(change):
    table = pd.DataFrame(
        {"image": list("abcd"), "caption": ["a dog", "a cat", "a dog", "a cat"], "split": ["train"] * 3 + ["val"]}
    ).assign(origin="human", stage=1, weight=np.float32(1), source="x", line=range(4))
    config = Config(text=TextConfig(language="en", min_frequency=1))

    def fingerprint(table):
        segmented = segment_corpus(table, Segmenter(config.text), {})
        return tokenize_corpus(config, segmented, lambda text: None).fingerprint

    changed = table.copy()
    if change == "vocabulary":
        changed.loc[0, "caption"] = "a bird"
    elif change == "images":  # the same captions in the same order
        changed.loc[:2, "image"] = ["b", "a", "c"]
    elif change == "validation":
        changed.loc[3, "caption"] = "a dog"
    elif change == "weight":
        changed.loc[1, "weight"] = 0.5
    assert (fingerprint(changed) == fingerprint(table)) == (change == "none")


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])  # no library; not glibc; Windows
def test_memory_that_cannot_be_returned_is_no_error(error, monkeypatch):
    libraries = []

    def fail(name):
        libraries.append(name)
        raise error("not here")

    monkeypatch.setattr("ctypes.CDLL", fail)
    release_memory()
    assert libraries == [None]


@pytest.mark.parametrize(("language", "warns"), [("en", True), ("zh", False)])
def test_sentences_read_as_words_are_a_warning(language, warns):
    captions = ["一只狗在草地上跑", "一只狗在跑", "狗在草地上", "一只狗在草地上跑", "草地上跑"]
    table = pd.DataFrame({"image": list("abcde"), "caption": captions, "split": "train"})
    table = table.assign(origin="human", stage=1, weight=np.float32(1), source="x", line=range(5))
    config = Config(text=TextConfig(language=language, min_frequency=2))
    lines = []
    tokenize_corpus(config, segment_corpus(table, Segmenter(config.text), {}), lines.append)
    warnings = [line for line in lines if line.startswith("warning: 60% of the words in train are unknown")]
    assert len(warnings) == warns


@pytest.mark.parametrize(("language", "advice"), [("en", "set the right language; warning: 100% of"), ("zh", "")])
def test_captions_in_another_language_are_named_if_no_word_is_frequent(language, advice):
    captions = ["一只狗在草地上跑", "两个女人在聊天"]
    table = pd.DataFrame({"image": list("ab"), "caption": captions, "split": "train"})
    table = table.assign(origin="human", stage=1, weight=np.float32(1), source="x", line=range(2))
    config = Config(text=TextConfig(language=language, min_frequency=4))
    with pytest.raises(ConfigError, match=r"No word occurs 4 times; lower min_frequency \(--min-frequency\)") as caught:
        tokenize_corpus(config, segment_corpus(table, Segmenter(config.text), {}), print)
    assert advice in str(caught.value) and ("warning" in str(caught.value)) == bool(advice)
