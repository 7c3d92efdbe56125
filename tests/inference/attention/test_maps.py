"""The raw attention of one caption: validation, what is shown of it, and its files."""

import json

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.map_files import load_npz, to_json
from caption_tx.inference.attention.maps import AXES, END_MARK, END_TEXT, AttentionMaps, ShownWord, joined_words, pool

L, N, T, H, W = 2, 3, 7, 5, 11


@pytest.fixture
def scores():
    raw = np.random.default_rng(0).random((L, N, T, H, W)).astype(np.float32)
    return raw / raw.sum(axis=(-2, -1), keepdims=True)


@pytest.fixture
def maps(scores):
    words = ("一只", "狗", "在", "草地", "上", "奔跑", "[END]")
    values = np.linspace(-2, 0, T).astype(np.float32)
    own = np.tril(np.random.default_rng(1).random((L, N, T, T)))
    own /= own.sum(axis=-1, keepdims=True)
    return AttentionMaps(
        scores, words, values, "dog.jpg", "一只狗在草地上奔跑", None, own, (0, 1, 0, 0, 0, 0, 0), language="zh"
    )


def test_pool_by_hand():
    scores = np.array([[1.0, 2.0], [3.0, 10.0]]).reshape(2, 2, 1, 1, 1)
    assert pool(scores).item() == 4.0
    assert pool(scores, method="max").item() == 10.0
    assert pool(scores, layer=0).item() == 1.5
    assert pool(scores, layer=-1).item() == 6.5
    assert pool(scores, head=1).item() == 6.0
    assert pool(scores, layer=1, head=0).item() == 3.0
    assert pool(scores, head=0, method="max").item() == 3.0


def test_mean_keeps_the_sum_and_the_grid(maps):
    pooled = maps.pooled()
    assert pooled.shape == (T, H, W)
    assert maps.grid == (H, W)
    np.testing.assert_allclose(pooled.sum(axis=(1, 2)), 1, atol=1e-6)


def test_one_head_is_untouched(maps, scores):
    np.testing.assert_array_equal(maps.pooled(layer=1, head=2), scores[1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 2}, r"no layer 2: the attention has 2 layer"),
        ({"layer": -3}, r"no layer -3"),
        ({"head": 3}, r"no head 3: the attention has 3 head.*0 to 2"),
        ({"method": "median"}, r"'median'; known: mean, max"),
    ],
)
def test_pool_errors(scores, arguments, message):
    with pytest.raises(CaptionTxError, match=message):
        pool(scores, **arguments)


def test_pool_names_the_axes():
    with pytest.raises(CaptionTxError, match=r"layer, head, token, row, column.*\(7, 5, 11\)"):
        pool(np.ones((T, H, W)))


def test_shapes_must_fit(scores):
    words = tuple("abcdefg")
    with pytest.raises(CaptionTxError, match=r"\(7, 5, 11\)"):
        AttentionMaps(scores[0, 0], words, np.zeros(T))
    with pytest.raises(CaptionTxError, match=r"\(2, 3, 7, 5, 11\).*\(6,\)"):
        AttentionMaps(scores, words[:-1], np.zeros(T))
    with pytest.raises(CaptionTxError, match=r"\(7,\).*\(6,\)"):
        AttentionMaps(scores, words, np.zeros(6))
    with pytest.raises(CaptionTxError, match=r"\(2, 3, 7, 7\).*\(2, 3, 6, 6\)"):
        AttentionMaps(scores, words, np.zeros(T), self_scores=np.ones((L, N, 6, 6)))
    with pytest.raises(CaptionTxError, match="of the 7 tokens"):
        AttentionMaps(scores, words, np.zeros(T), shown=(ShownWord("x", (7,)),))
    with pytest.raises(CaptionTxError, match=r"dog\.jpg.*finite"):
        AttentionMaps(np.full_like(scores, np.nan), words, np.zeros(T), "dog.jpg")


def test_words_of_several_tokens_are_averaged_and_their_log_probabilities_added(maps, scores):
    merged = maps.merged(["草地上", "一只狗"])
    assert merged.titles == ["一只狗(?)", "在", "草地上", "奔跑", END_TEXT]
    np.testing.assert_allclose(merged.pooled(0, 1)[2], scores[0, 1, 3:5].mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(merged.pooled(pool="rollout").sum(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(merged.shown_log_probabilities[2], maps.log_probabilities[3:5].sum(), atol=1e-6)
    assert merged.log_probability == pytest.approx(maps.log_probabilities.sum())
    np.testing.assert_array_equal(merged.scores, maps.scores)
    again = merged.merged(["狗在"])
    assert again.titles == ["狗在(?)", "草地上", "奔跑", END_TEXT]  # what it cuts through is not shown
    with pytest.raises(CaptionTxError, match=r"'猫'.*一只, 狗, 在"):
        maps.merged(["猫"])
    with pytest.raises(CaptionTxError, match="，"):
        maps.merged(["，"])


def test_marks_are_left_out_and_do_not_count_as_spelling(scores):
    words = ("t", "-", "shirt", "，", "a", "。", END_MARK)
    maps = AttentionMaps(scores, words, np.zeros(T)).merged(["T-shirt"])
    assert maps.titles == ["T-shirt", "，", "a", "。", END_TEXT]
    assert maps.shown[0].tokens == (0, 1, 2)
    bare = maps.without_marks()
    assert bare.titles == ["T-shirt", "a"]
    np.testing.assert_array_equal(bare.pooled(1, 2)[1], scores[1, 2, 4])
    with pytest.raises(CaptionTxError, match="no words to show"):
        AttentionMaps(scores[:, :, :2], ("。", END_MARK), np.zeros(2)).without_marks()


def test_joined_words():
    assert joined_words("a T-shirt, the dog's wi-fi-box - a T-shirt") == ["T-shirt", "dog's", "wi-fi-box"]
    assert joined_words("穿t-shirt的人 -- 2") == ["t-shirt"]


def test_json_names_its_axes(maps):
    document = json.loads(to_json(maps.merged(["草地上"])))
    assert document["axes"] == ["layer", "head", "token", "row", "column"]
    assert document["self_axes"] == ["layer", "head", "token", "position"]
    assert document["shape"] == [L, N, T, H, W] == list(np.shape(document["scores"]))
    np.testing.assert_allclose(document["scores"], maps.scores, rtol=1e-5)
    np.testing.assert_allclose(document["self_scores"], maps.self_scores, rtol=1e-5)
    assert document["tokens"] == list(maps.words)
    np.testing.assert_allclose(document["log_probabilities"], maps.log_probabilities, atol=1e-5)
    assert document["unknown"] == [False, True, *[False] * 5]
    word = document["shown"][3]
    assert (word["text"], word["tokens"]) == ("草地上", [3, 4])
    assert word["log_probability"] == pytest.approx(float(maps.log_probabilities[3:5].sum()), abs=1e-5)
    assert (document["caption"], document["language"]) == ("一只狗在草地上奔跑", "zh")


def test_npz_round_trip(maps, tmp_path):
    path = tmp_path / "maps.npz"
    maps = maps.merged(["草地上"]).without_marks()
    maps.save_npz(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["maps.npz"]
    with np.load(path, allow_pickle=False) as archive:
        assert tuple(archive["axes"]) == AXES
    loaded = load_npz(path)
    np.testing.assert_array_equal(loaded.scores, maps.scores)
    np.testing.assert_array_equal(loaded.log_probabilities, maps.log_probabilities)
    assert loaded.scores.dtype == np.float32
    np.testing.assert_array_equal(loaded.self_scores, maps.self_scores)
    for name in ("words", "image", "caption", "unknown", "shown", "language"):
        assert getattr(loaded, name) == getattr(maps, name), name


def test_npz_errors(maps, tmp_path):
    with pytest.raises(CaptionTxError, match=r"nowhere.*No such file"):
        maps.save_npz(tmp_path / "nowhere" / "maps.npz")
    with pytest.raises(CaptionTxError, match="No such file"):
        load_npz(tmp_path / "absent.npz")
    other = tmp_path / "other.npz"
    np.savez(other, scores=maps.scores)
    with pytest.raises(CaptionTxError, match="axes, words, log_probabilities, caption, image missing"):
        load_npz(other)
    maps.save_npz(other)
    with np.load(other) as archive:
        parts = dict(archive)
    np.savez(other, **(parts | {"axes": parts["axes"][::-1]}))
    with pytest.raises(CaptionTxError, match="expected"):
        load_npz(other)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off", b"\x93NUMPY\x01\x00"])
def test_damaged_npz(tmp_path, content):
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    with pytest.raises(CaptionTxError, match=r"damaged\.npz"):
        load_npz(path)


def test_a_bare_array_is_no_archive(tmp_path):
    path = tmp_path / "array.npz"
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(CaptionTxError, match=r"array\.npz"):
        load_npz(path)
