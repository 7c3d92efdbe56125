"""The attention of one caption: validation, shown words and their maps."""

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.words import END_TOKEN, ShownWord

L, N, T, H, W = 2, 3, 7, 5, 11
WORDS = tuple("abcdefg")


def test_mean_pooling_preserves_the_sum_and_the_grid(maps):
    pooled = maps.pooled()
    assert pooled.shape == (T, H, W)
    assert maps.grid == (H, W)
    np.testing.assert_allclose(pooled.sum(axis=(1, 2)), 1, atol=1e-6)


def test_one_head_is_unchanged(maps, scores):
    np.testing.assert_array_equal(maps.pooled(layer=1, head=2), scores[1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.ones((T, H, W))}, r"five non-empty axes.*\(7, 5, 11\)"),
        ({"words": WORDS[:-1]}, r"\(2, 3, 7, 5, 11\).*\(6,\)"),
        ({"log_probabilities": np.zeros(6)}, r"\(7,\).*\(6,\)"),
        ({"self_scores": np.ones((L, N, 6, 6))}, r"\(2, 3, 7, 7\), got \(2, 3, 6, 6\)"),
        ({"shown": (ShownWord("x", (7,)),)}, "match the 7 tokens"),
        ({"shown": (ShownWord("x", ()),)}, "match the 7 tokens"),
        ({"unknown": (True,)}, "match the 7 tokens"),
        ({"scores": np.full((L, N, T, H, W), np.nan), "image": "dog.jpg"}, r"dog\.jpg.*finite"),
        ({"cell_log_probabilities": np.zeros((T, H, 1))}, r"cells of shape \(7, 5, 11\), got \(7, 5, 1\)"),
        ({"cell_log_probabilities": np.full((T, H, W), np.nan), "image": "dog.jpg"}, r"cells.*dog\.jpg.*finite"),
    ],
)
def test_validation(scores, change, message):
    with pytest.raises(CaptionTxError, match=message):
        AttentionMaps(**({"scores": scores, "words": WORDS, "log_probabilities": np.zeros(T)} | change))


def test_merged_words_average_their_maps_and_add_their_log_probabilities(maps, scores):
    merged = maps.merged(["草地上", "一只狗"])
    assert merged.titles == ["一只狗(?)", "在", "草地上", "奔跑", "（结束）"]
    np.testing.assert_allclose(merged.pooled(0, 1)[2], scores[0, 1, 3:5].mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(merged.pooled(pool="rollout").sum(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(merged.shown_log_probabilities[2], maps.log_probabilities[3:5].sum(), atol=1e-6)
    assert merged.log_probability == pytest.approx(maps.log_probabilities.sum())
    np.testing.assert_array_equal(merged.scores, maps.scores)
    overlapping = merged.merged(["狗在"])
    assert overlapping.titles == ["狗在(?)", "草地上", "奔跑", "（结束）"]  # the word that it overlaps is hidden
    with pytest.raises(CaptionTxError, match=r"'猫'.*一只, 狗, 在"):
        maps.merged(["猫"])
    with pytest.raises(CaptionTxError, match="，"):
        maps.merged(["，"])


def test_without_punctuation(scores):
    words = ("t", "-", "shirt", "，", "a", "。", END_TOKEN)
    maps = AttentionMaps(scores, words, np.zeros(T)).merged(["T-shirt"])
    assert maps.titles == ["T-shirt", "，", "a", "。", "(end)"]
    assert maps.shown[0].tokens == (0, 1, 2)
    without = maps.without_punctuation()
    assert without.titles == ["T-shirt", "a"]
    np.testing.assert_array_equal(without.pooled(1, 2)[1], scores[1, 2, 4])
    with pytest.raises(CaptionTxError, match="no words to show"):
        AttentionMaps(scores[:, :, :2], ("。", END_TOKEN), np.zeros(2)).without_punctuation()


def test_the_pooling_of_the_bundle_is_the_default_for_all_layers_and_heads(make_maps):
    maps = make_maps(pool="rollout")
    np.testing.assert_array_equal(maps.pooled(), make_maps().pooled(pool="rollout"))
    np.testing.assert_array_equal(maps.pooled(layer=0), make_maps().pooled(layer=0, pool="mean"))
    np.testing.assert_array_equal(maps.pooled(head=1), make_maps().pooled(head=1, pool="mean"))
    assert not np.array_equal(maps.pooled(), maps.pooled(pool="mean"))
