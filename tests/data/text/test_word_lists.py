"""Lists of words kept as numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caption_tx.data.text.word_lists import WordLists

CAPTIONS = [["一个", "女人"], [], ["一个", "狗", "跑", "狗"]]


def test_words_are_kept_once():
    lists = WordLists.of(iter(CAPTIONS))
    assert lists.words == ("一个", "女人", "狗", "跑")
    assert lists.values.tolist() == [0, 1, 0, 2, 3, 2]
    assert lists.row_splits.tolist() == [0, 2, 2, 6]
    assert (lists.values.dtype, lists.row_splits.dtype) == (np.int32, np.int64)
    assert lists.lengths.tolist() == [2, 0, 4]
    assert lists.counts().tolist() == [2, 1, 2, 1]
    assert WordLists.of(lists) is lists


@given(st.lists(st.lists(st.text(max_size=2), max_size=4), max_size=6), st.randoms())
def test_it_is_a_sequence_of_lists(captions, random):
    lists = WordLists.of(captions)
    assert list(lists) == captions
    assert lists[1:] == captions[1:]
    rows = [random.randrange(len(captions)) for _ in range(5)] if captions else []
    assert list(lists.take(np.array(rows, np.int64))) == [captions[row] for row in rows]
    mask = np.array([random.random() < 0.5 for _ in captions], bool)
    kept = lists.take(mask)
    assert list(kept) == [words for words, keep in zip(captions, mask, strict=True) if keep]
    assert kept.counts().sum() == sum(map(len, kept))


def test_an_index_beyond_the_end_is_refused():
    lists = WordLists.of(CAPTIONS)
    assert lists[-1] == CAPTIONS[-1]
    with pytest.raises(IndexError, match="caption 3 of 3"):
        lists[3]


def test_more_captions_than_one_block(monkeypatch):
    from caption_tx.data.text import tokenizer, word_lists

    captions = [["a"] * (number % 5) + ["b"] * (number % 3) for number in range(23)]
    lists = WordLists.of(captions)
    random = np.random.default_rng(0)
    rows = random.permutation(23)
    words = tokenizer.Tokenizer([*tokenizer.SPECIAL_TOKENS, "a"], "en")
    whole = (list(lists.take(rows)), lists.counts().tolist(), words.tokenize(lists, 4))
    monkeypatch.setattr(word_lists, "BLOCK", 4)
    monkeypatch.setattr(tokenizer, "BLOCK", 4)
    assert list(lists.take(rows)) == whole[0] == [captions[row] for row in rows]
    assert lists.counts().tolist() == whole[1]
    tokens = words.tokenize(lists, 4)
    assert tokens.values.tolist() == whole[2].values.tolist()
    assert tokens.row_splits.tolist() == whole[2].row_splits.tolist()
    assert tokens.truncated == whole[2].truncated > 0
