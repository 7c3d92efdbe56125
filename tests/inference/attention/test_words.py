"""Shown words: hyphenated words and tokens that spell a word."""

import numpy as np

from caption_tx.inference.attention.words import (
    ShownWord,
    find_spelling,
    hyphenated_words,
    letters_and_digits,
    word_log_probabilities,
)


def test_hyphenated_words():
    assert hyphenated_words("a T-shirt, the dog's wi-fi-box - a T-shirt") == ["T-shirt", "dog's", "wi-fi-box"]
    assert hyphenated_words("穿t-shirt的人 -- 2") == ["t-shirt"]


def test_letters_and_digits():
    assert letters_and_digits("T-Shirt 2。狗") == "tshirt2狗"


def test_a_spelling_ignores_case_and_punctuation_and_starts_and_ends_with_a_letter():
    tokens = ("，", "t", "-", "Shirt", "。", "t", "shirt")
    assert find_spelling(tokens, "T-shirt") == [range(1, 4), range(5, 7)]
    assert find_spelling(tokens, "shirt") == [range(3, 4), range(6, 7)]
    assert find_spelling(tokens, "dog") == find_spelling(tokens, "，") == []


def test_word_log_probabilities_are_sums_over_tokens():
    words = (ShownWord("a", (0,)), ShownWord("t-shirt", (1, 3)))
    np.testing.assert_allclose(word_log_probabilities(words, np.array([-1.0, -2, -4, -8])), [-1, -10])
