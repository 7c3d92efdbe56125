"""The output layer, whose bias starts at the log prior of the tokens."""

import keras
import numpy as np
import pytest

from caption_tx.model.token_output import TokenOutput, entropies, log_prior

COUNTS = np.array([0, 5, 1, 0, 9, 2, 3])


def test_log_prior_computed_by_hand():
    np.testing.assert_allclose(log_prior(np.array([0, 1, 4])), np.log([1 / 8, 2 / 8, 5 / 8]), rtol=1e-6)


def test_log_prior_is_a_distribution_without_infinities_in_half_precision():
    prior = log_prior(np.array([0] * 20_000 + [10**9]))
    assert np.isfinite(prior.astype(np.float16)).all()
    np.testing.assert_allclose(np.exp(prior.astype(np.float64)).sum(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "counts", [[0, 0, 0], [3, -1, 2], [[1, 2], [3, 4]], [], 3], ids=["zero", "negative", "matrix", "empty", "scalar"]
)
def test_log_prior_rejects_invalid_counts(counts):
    with pytest.raises(ValueError, match="vector of token counts"):
        log_prior(np.array(counts))


def test_entropies_computed_by_hand():
    known = entropies(np.array([2, 1, 1, 0]))
    assert known.uniform == pytest.approx(np.log(4))
    assert known.marginal == pytest.approx(1.5 * np.log(2))
    assert f"{known.marginal:.2f}" in str(known)


@pytest.mark.parametrize("tied", [True, False])
def test_adapted_output_predicts_frequencies_for_zero_states(tied):
    layer = TokenOutput(7, 11, tied=tied)
    layer.build()
    layer.adapt(COUNTS)
    state = np.zeros((2, 3, 11), np.float32)
    logits = layer(state, np.ones((7, 11), np.float32)) if tied else layer(state)
    assert logits.shape == (2, 3, 7)
    np.testing.assert_allclose(np.asarray(keras.ops.softmax(logits))[1, 2], (COUNTS + 1) / 27, rtol=1e-5)


def test_log_prior_is_fixed_and_bias_is_trained():
    layer = TokenOutput(7, 11)
    layer.build()
    assert [weight.name for weight in layer.non_trainable_weights] == ["log_prior"]
    assert "bias" in [weight.name for weight in layer.trainable_weights]


def test_adapt_rejects_counts_of_another_vocabulary():
    layer = TokenOutput(7, 11)
    layer.build()
    with pytest.raises(ValueError, match=r"\(7,\).*\(5,\)"):
        layer.adapt(COUNTS[:5])


@pytest.mark.parametrize("tied", [True, False])
def test_only_tied_output_takes_embeddings(tied):
    layer = TokenOutput(7, 11, tied=tied)
    layer.build()
    with pytest.raises(ValueError, match="tied"):
        layer(np.zeros((1, 1, 11)), None if tied else np.ones((7, 11)))


def test_half_precision_keeps_the_prior_in_full_precision():
    layer = TokenOutput(7, 11, dtype="mixed_float16")
    layer.build()
    layer.adapt(COUNTS)
    logits = layer(np.zeros((1, 1, 11), np.float32))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    np.testing.assert_allclose(logits[0, 0], log_prior(COUNTS), rtol=1e-6)


def test_config_round_trip():
    layer = TokenOutput(7, 11, tied=True)
    assert TokenOutput.from_config(layer.get_config()).get_config() == layer.get_config()
