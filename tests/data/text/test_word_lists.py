"""Word lists in compact arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caption_tx.data.text.word_lists import WordLists

CAPTIONS = [["一个", "女人"], [], ["一个", "狗", "跑", "狗"]]


def test_each_distinct_word_is_stored_once():
    lists = WordLists.from_lists(iter(CAPTIONS))
    assert lists.distinct_words == ("一个", "女人", "狗", "跑")
    assert lists.values.tolist() == [0, 1, 0, 2, 3, 2]
    assert lists.row_splits.tolist() == [0, 2, 2, 6]
    assert (lists.values.dtype, lists.row_splits.dtype) == (np.int32, np.int64)
    assert lists.lengths.tolist() == [2, 0, 4]
    assert lists.counts().tolist() == [2, 1, 2, 1]
    assert WordLists.from_lists(lists) is lists


@given(st.lists(st.lists(st.text(max_size=2), max_size=4), max_size=6), st.randoms())
def test_behaves_like_a_list_of_word_lists(captions, random):
    lists = WordLists.from_lists(captions)
    assert list(lists) == captions
    assert lists[1:] == captions[1:]
    rows = [random.randrange(len(captions)) for _ in range(5)] if captions else []
    assert list(lists.take(np.array(rows, np.int64))) == [captions[row] for row in rows]
    mask = np.array([random.random() < 0.5 for _ in captions], bool)
    kept = lists.take(mask)
    assert list(kept) == [words for words, keep in zip(captions, mask, strict=True) if keep]
    assert kept.counts().sum() == sum(map(len, kept))


def test_an_index_out_of_range_raises_index_error():
    lists = WordLists.from_lists(CAPTIONS)
    assert lists[-1] == CAPTIONS[-1]
    with pytest.raises(IndexError, match="caption 3 of 3"):
        lists[3]


def test_results_do_not_depend_on_the_block_size(monkeypatch):
    from caption_tx.data.text import tokenizer, word_lists

    captions = [["a"] * (index % 5) + ["b"] * (index % 3) for index in range(23)]
    lists = WordLists.from_lists(captions)
    random = np.random.default_rng(0)
    rows = random.permutation(23)
    tiny_tokenizer = tokenizer.Tokenizer([*tokenizer.SPECIAL_TOKENS, "a"], "en")
    expected = (list(lists.take(rows)), lists.counts().tolist(), tiny_tokenizer.tokenize(lists, 4))
    monkeypatch.setattr(word_lists, "BLOCK_SIZE", 4)
    monkeypatch.setattr(tokenizer, "BLOCK_SIZE", 4)
    assert list(lists.take(rows)) == expected[0] == [captions[row] for row in rows]
    assert lists.counts().tolist() == expected[1]
    tokens = tiny_tokenizer.tokenize(lists, 4)
    assert tokens.values.tolist() == expected[2].values.tolist()
    assert tokens.row_splits.tolist() == expected[2].row_splits.tolist()
    assert tokens.num_truncated == expected[2].num_truncated > 0
