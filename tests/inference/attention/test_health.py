"""Health checks on synthetic heads, each with its own problem."""

import json
import math
import string

import numpy as np
import pytest

from caption_tx.config import LANGUAGES
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.health import center_window, measure_health
from caption_tx.inference.attention.health_warnings import WARNINGS
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.words import END_TOKEN

L, N, H, W = 2, 3, 5, 7
CAPTIONS = 8


def uniform():
    return np.full((H, W), 1 / (H * W))


def blob(row, column, share=0.9):
    """A map with `share` on one cell and the rest uniform."""
    attention_map = uniform() * (1 - share)
    attention_map[row, column] += share
    return attention_map


@pytest.fixture(scope="module")
def captions():
    """Scores of captions. The heads of layer 0: another cell for every word; the same cell for every word; uniform.
    Layer 1: the center of every image; maps that sum to 1.1; another cell for every word."""
    rng = np.random.default_rng(0)
    result = []
    for _ in range(CAPTIONS):
        tokens = int(rng.integers(3, 8))
        scores = np.zeros((L, N, tokens, H, W))
        cells = rng.permutation(H * W)
        fixed = divmod(int(cells[-1]), W)
        for t in range(tokens):
            scores[0, 0, t] = blob(*divmod(int(cells[t]), W))
            scores[0, 1, t] = blob(*fixed, share=0.9 + 0.01 * (t % 2))
            scores[0, 2, t] = uniform()
            scores[1, 0, t] = blob(2, 2 + t % 3)
            scores[1, 1, t] = 1.1 * blob(*divmod(int(cells[t]), W))
            scores[1, 2, t] = blob(*divmod(int(cells[t + 8]), W))
        result.append(scores.astype(np.float32))
    return result


def test_each_problem_has_one_warning(captions):
    warnings = measure_health(captions).warnings()
    heads = {text[:14]: text for text in warnings if text.startswith("Layer")}
    assert set(heads) == {"Layer 0 head 1", "Layer 0 head 2", "Layer 1 head 0", "Layer 1 head 1"}
    assert "looks at the same place for every word (100% of the maps repeat" in heads["Layer 0 head 1"]
    assert "attends to all cells almost equally" in heads["Layer 0 head 2"]
    assert "looks at the center of every image" in heads["Layer 1 head 0"]
    assert "sum of a map differs from 1 by up to 0.1" in heads["Layer 1 head 1"]


def test_warnings_in_chinese(captions):
    health = measure_health(captions)
    warnings = health.warnings("zh")
    assert len(warnings) == len(health.warnings())
    assert "第 0 层第 1 个注意力头对每个词都看同一个地方（100% 的词与前一个词的热力图几乎相同）。" in warnings
    assert any(text.startswith("第 1 层第 0 个注意力头不论图片内容如何都看中央") for text in warnings)
    with pytest.raises(CaptionTxError, match="'fr'"):
        health.warnings("fr")


def test_all_languages_have_the_same_placeholders():
    for kind, texts in WARNINGS.items():
        assert set(texts) == set(LANGUAGES), kind
        placeholders = {
            tuple(sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name))
            for text in texts.values()
        }
        assert len(placeholders) == 1, kind


def test_statistics(captions):
    health = measure_health(captions)
    words = sum(scores.shape[2] for scores in captions)
    assert (health.captions, health.words, health.grid) == (CAPTIONS, words, (H, W))
    assert health.entropy[0, 2] == pytest.approx(1)
    rest = 0.1 / (H * W)
    expected = -(0.9 + rest) * math.log(0.9 + rest) - (H * W - 1) * rest * math.log(rest)
    assert health.entropy[0, 0] == pytest.approx(expected / math.log(H * W), rel=1e-5)
    np.testing.assert_allclose(health.same_as_previous[0], [0, 1, 1])
    np.testing.assert_allclose(health.row_sum_error[:2], [[0, 0, 0], [0, 0.1, 0]], atol=1e-6)
    assert health.center[0, 2] == pytest.approx(1)
    assert health.center[1, 0] > 3
    assert health.center_deviation[0, 2] == pytest.approx(0)
    assert health.picture_difference[1, 0] < 0.1 < health.picture_difference[0, 0]
    assert np.isnan(health.entropy[L, 1:]).all() and health.entropy[L, 0] > 0.5  # only the mean of all heads


def test_the_center_window_is_a_quarter_of_any_grid():
    for h, w in ((7, 7), (5, 7), (2, 3), (1, 1), (14, 14)):
        window = center_window(h, w)
        assert window.shape == (h, w)
        assert window.sum() / (h * w) == pytest.approx(0.25)
        np.testing.assert_allclose(window, window[::-1, ::-1])


def test_same_as_previous_is_a_share_of_the_words(captions):
    scores = captions[0][:, :, :1].repeat(11, axis=2)
    scores[0, 0, 9:] = blob(0, 0)  # one of ten maps differs from the previous one
    assert measure_health([scores]).same_as_previous[0, 0] == pytest.approx(0.9)


def test_the_end_token_is_left_out(captions):
    scores = captions[0]
    words = (*"abcdefgh"[: scores.shape[2] - 1], END_TOKEN)
    maps = AttentionMaps(scores, words, np.zeros(len(words)))
    health = measure_health([maps])
    assert health.words == scores.shape[2] - 1
    np.testing.assert_array_equal(health.entropy, measure_health([scores[:, :, :-1]]).entropy)
    assert np.isnan(health.picture_difference).all()  # there is no other image to compare with


def test_a_caption_of_one_word_has_no_previous_map(captions):
    health = measure_health([captions[0][:, :, :1]])
    assert np.isnan(health.same_as_previous).all()
    assert "the same place" not in " ".join(health.warnings())
    assert " -  " in health.table()


def test_as_json_and_as_a_table(captions):
    health = measure_health(captions)
    document = json.loads(health.to_json())
    assert len(document["heads"]) == L * N + 1
    assert document["heads"][1]["same_as_previous"] == 1.0
    assert (document["heads"][-1]["layer"], document["heads"][-1]["head"]) == ("all", "mean")
    assert document["warnings"] == health.warnings()
    assert json.loads(measure_health(captions[:1]).to_json())["heads"][0]["picture_difference"] is None
    lines = health.table().splitlines()
    assert lines[0] == f"8 captions, {health.words} words, maps of 5 x 7 cells."
    assert lines[3].split()[:4] == ["0", "1", lines[3].split()[2], "100%"]
    assert sum(line.startswith("Warning: ") for line in lines) == len(health.warnings())
    good = [scores[:1, :1] for scores in captions]
    assert measure_health(good).table().endswith("No warnings.")


def test_errors(captions):
    with pytest.raises(CaptionTxError, match="no captions to measure"):
        measure_health([])
    with pytest.raises(CaptionTxError, match=r"from one model.*\(2, 3, 5, 7\) and \(1, 3, 5, 7\)"):
        measure_health([captions[0], captions[1][:1]])
    with pytest.raises(CaptionTxError, match="axes"):
        measure_health([captions[0][0]])
