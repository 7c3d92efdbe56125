"""Files of raw attention maps: NPZ round trip, JSON and damaged files."""

import json

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.pooling import AXES


def test_json_names_its_axes(maps):
    document = json.loads(maps.merged(["草地上"]).to_json())
    assert document["axes"] == ["layer", "head", "token", "row", "column"]
    assert document["self_axes"] == ["layer", "head", "token", "position"]
    assert document["shape"] == list(maps.scores.shape) == list(np.shape(document["scores"]))
    np.testing.assert_allclose(document["scores"], maps.scores, rtol=1e-5)
    np.testing.assert_allclose(document["self_scores"], maps.self_scores, rtol=1e-5)
    assert document["cell_axes"] == ["token", "row", "column"]
    np.testing.assert_allclose(document["cell_log_probabilities"], maps.cell_log_probabilities, rtol=1e-5)
    assert document["tokens"] == list(maps.words)
    np.testing.assert_allclose(document["log_probabilities"], maps.log_probabilities, atol=1e-5)
    assert document["log_probability"] == pytest.approx(maps.log_probability, abs=1e-5)
    assert document["unknown"] == [False, True, *[False] * 5]
    word = document["shown"][3]
    assert (word["text"], word["tokens"]) == ("草地上", [3, 4])
    assert word["log_probability"] == pytest.approx(float(maps.log_probabilities[3:5].sum()), abs=1e-5)
    assert (document["caption"], document["image"], document["language"]) == ("一只狗在草地上奔跑", "dog.jpg", "zh")


def test_npz_round_trip(maps, tmp_path):
    path = tmp_path / "maps.npz"
    maps = maps.merged(["草地上"]).without_punctuation()
    maps.save_npz(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["maps.npz"]
    with np.load(path, allow_pickle=False) as archive:
        assert tuple(archive["axes"]) == AXES
        assert archive["shown_of_token"].tolist() == [0, 1, 2, 3, 3, 4, -1]
    loaded = AttentionMaps.load_npz(path)
    np.testing.assert_array_equal(loaded.scores, maps.scores)
    np.testing.assert_array_equal(loaded.log_probabilities, maps.log_probabilities)
    np.testing.assert_array_equal(loaded.pooled(pool="posterior"), maps.pooled(pool="posterior"))
    assert loaded.scores.dtype == np.float32
    np.testing.assert_array_equal(loaded.self_scores, maps.self_scores)
    for name in ("words", "image", "caption", "unknown", "shown", "language"):
        assert getattr(loaded, name) == getattr(maps, name), name


def test_npz_errors(maps, tmp_path):
    with pytest.raises(CaptionTxError, match=r"nowhere.*No such file"):
        maps.save_npz(tmp_path / "nowhere" / "maps.npz")
    with pytest.raises(CaptionTxError, match="No such file"):
        AttentionMaps.load_npz(tmp_path / "absent.npz")
    other = tmp_path / "other.npz"
    np.savez(other, scores=maps.scores)
    with pytest.raises(CaptionTxError, match="axes, words, log_probabilities, caption, image missing"):
        AttentionMaps.load_npz(other)
    maps.save_npz(other)
    with np.load(other) as archive:
        arrays = dict(archive)
    np.savez(other, **(arrays | {"axes": arrays["axes"][::-1]}))
    with pytest.raises(CaptionTxError, match="expected"):
        AttentionMaps.load_npz(other)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off", b"\x93NUMPY\x01\x00"])
def test_damaged_npz(tmp_path, content):
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    with pytest.raises(CaptionTxError, match=r"damaged\.npz"):
        AttentionMaps.load_npz(path)


def test_a_bare_array_is_rejected(tmp_path):
    path = tmp_path / "array.npz"
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(CaptionTxError, match=r"array\.npz contains one bare array"):
        AttentionMaps.load_npz(path)
