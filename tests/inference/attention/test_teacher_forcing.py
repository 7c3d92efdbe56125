"""Teacher-forced passes: batching does not change the results."""

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.teacher_forcing import (
    caption_log_probabilities,
    read_cells,
    teacher_forced_pass,
)

L, N, H, W = 3, 2, 3, 5
TOKEN_LISTS = [[2, 5, 6, 3], [2, 7, 3], [2, 4, 4, 9, 10, 3], [2, 8, 3]]


def test_batches_of_captions_match_single_captions(make_captioner, features):
    captioner = make_captioner()
    image_rows = [3, 0, 3, 6]
    batched = teacher_forced_pass(captioner, features, TOKEN_LISTS, image_rows, batch_size=3, with_cells=True)
    log_probabilities = caption_log_probabilities(captioner, features, TOKEN_LISTS, image_rows, batch_size=2)
    for token_ids, row, result, values in zip(TOKEN_LISTS, image_rows, batched, log_probabilities, strict=True):
        [single] = teacher_forced_pass(captioner, features[row : row + 1], [token_ids], with_cells=True)
        t = len(token_ids) - 1
        assert single.attention_scores.shape == (L, N, t, H, W)
        assert single.log_probabilities.shape == (t,)
        assert single.self_attention_scores.shape == (L, N, t, t)
        assert single.cell_log_probabilities.shape == (t, H, W)
        for part, expected in zip(result, single, strict=True):
            np.testing.assert_allclose(part, expected, atol=1e-5)
        np.testing.assert_allclose(values, single.log_probabilities, atol=1e-5)


def test_a_cell_is_read_as_if_it_were_the_image(make_captioner, features, monkeypatch):
    """With all attention on one cell, the model reads what it reads from that cell alone."""
    captioner = make_captioner(seed=3)
    cells = read_cells(captioner, features, TOKEN_LISTS, [3, 0, 3, 6])
    for y, x in ((0, 0), (1, 4), (2, 2)):
        for block in captioner.blocks:
            only = np.zeros((1, 1, 1, H * W), np.float32)
            only[..., y * W + x] = 1
            monkeypatch.setattr(
                block.cross_attention, "dropout", lambda weights, training, only=only: weights * 0 + only
            )
        forced = caption_log_probabilities(captioner, features, TOKEN_LISTS, [3, 0, 3, 6])
        for own, expected in zip(cells, forced, strict=True):
            np.testing.assert_allclose(own[:, y, x], expected, atol=1e-4)


def test_caption_i_belongs_to_image_i_by_default(make_captioner, features):
    captioner = make_captioner(seed=3)
    results = teacher_forced_pass(captioner, features[:4], TOKEN_LISTS)
    expected = teacher_forced_pass(captioner, features, TOKEN_LISTS, range(4))
    np.testing.assert_allclose(results[3].attention_scores, expected[3].attention_scores, atol=1e-5)


def test_attention_sums_to_one_and_self_attention_is_causal(make_captioner, features):
    [result] = teacher_forced_pass(make_captioner(seed=3), features[:1], TOKEN_LISTS[2:3])
    np.testing.assert_allclose(result.attention_scores.sum(axis=(-2, -1)), 1, atol=1e-5)
    assert np.abs(np.triu(result.self_attention_scores, 1)).max() == 0
    assert (result.log_probabilities <= 0).all()


@pytest.mark.parametrize("token_ids", [[2], [2, *[4] * 11, 3]], ids=["empty", "too long"])
def test_length_errors(make_captioner, features, token_ids):
    with pytest.raises(CaptionTxError, match=f"has {len(token_ids) - 1} tokens.*accepts 1 to 11"):
        caption_log_probabilities(make_captioner(), features, [token_ids])
