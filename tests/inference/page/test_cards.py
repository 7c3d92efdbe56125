"""The data of one card: words, quantized maps and the photograph."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import most_divergent_head, rollout
from caption_tx.inference.page.cards import card_data, make_card, quantize_maps


def dequantize(quantized, shape):
    cells = np.frombuffer(base64.b64decode(quantized["cells"]), np.uint8).reshape(len(quantized["maxima"]), -1)
    return ((cells / 255) ** 2 * np.array(quantized["maxima"])[:, None]).reshape(shape)


def test_quantization_is_accurate_to_half_a_step(make_maps):
    maps = make_maps()
    data = card_data(maps, "(end)")
    assert data["shape"] == list(maps.scores.shape)
    maxima = maps.scores.max(axis=(-2, -1), keepdims=True)
    error = np.abs(np.sqrt(dequantize(data["scores"], data["shape"])) - np.sqrt(maps.scores))
    assert (error <= np.sqrt(maxima) / 509).all()
    expected = rollout(maps.scores, maps.self_scores)
    np.testing.assert_allclose(dequantize(data["rollout"], expected.shape), expected, atol=expected.max() / 250)
    assert quantize_maps(np.zeros((1, 2, 2)))["maxima"] == [0]


def test_words(make_maps):
    words = card_data(make_maps(), "(end)")["words"]
    assert [word["tokens"] for word in words] == [[0], [1], [2], [3]]
    assert [word["unknown"] for word in words] == [False, True, False, False]
    assert [word["function"] for word in words] == [True, False, False, True]
    assert words[0]["log_probability"] == -3
    assert words[0]["probability"] == pytest.approx(np.exp(-3), abs=1e-4)
    assert (words[-1]["text"], words[-1]["end"]) == ("(end)", True)


def test_the_most_divergent_head_of_every_slider_position(make_maps):
    maps = make_maps()
    table = card_data(maps, "(end)")["most_divergent"]
    assert np.shape(table) == (3, 4, 2)
    assert table[0][0] == most_divergent_head(maps.scores)
    assert table[2][3] == (1, 2)


def test_photographs_are_small_jpegs(make_maps):
    card = make_card(make_maps(), "(end)")
    assert (card.name, card.language, card.width, card.height) == ("dog.jpg", "zh-Hans", 90, 60)
    header, data = card.source.split(",")
    assert header == "data:image/jpeg;base64"
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).shape == (60, 90, 3)
    large = make_card(make_maps(picture=np.zeros((1000, 3000, 3), np.uint8)), "(end)")
    assert (large.width, large.height) == (640, 213)
    with pytest.raises(CaptionTxError, match="have no picture"):
        make_card(make_maps(picture=None), "(end)")
