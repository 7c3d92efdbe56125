"""The raw attention of one caption: pooling, validation, and the NPZ file."""

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention import AXES, AttentionMaps, load_npz, pool

L, N, T, H, W = 2, 3, 7, 5, 11


@pytest.fixture
def scores():
    raw = np.random.default_rng(0).random((L, N, T, H, W)).astype(np.float32)
    return raw / raw.sum(axis=(-2, -1), keepdims=True)


@pytest.fixture
def maps(scores):
    words = ("一只", "狗", "在", "草地", "上", "奔跑", "[END]")
    return AttentionMaps(scores, words, np.linspace(-2, 0, T).astype(np.float32), "dog.jpg", "一只狗在草地上奔跑")


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
    with pytest.raises(CaptionTxError, match=r"dog\.jpg.*finite"):
        AttentionMaps(np.full_like(scores, np.nan), words, np.zeros(T), "dog.jpg")


def test_npz_round_trip(maps, tmp_path):
    path = tmp_path / "maps.npz"
    maps.save_npz(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["maps.npz"]
    with np.load(path, allow_pickle=False) as archive:
        assert tuple(archive["axes"]) == AXES
    loaded = load_npz(path)
    np.testing.assert_array_equal(loaded.scores, maps.scores)
    np.testing.assert_array_equal(loaded.log_probabilities, maps.log_probabilities)
    assert loaded.scores.dtype == np.float32
    assert (loaded.words, loaded.image, loaded.caption) == (maps.words, maps.image, maps.caption)


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
