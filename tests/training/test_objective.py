"""The masked loss and metrics, compared with NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss, token_hits, token_losses

B, T, V = 3, 5, 7
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, V, (B, T)).astype(np.int32)
LOGITS = RANDOM.normal(0, 3, (B, T, V)).astype(np.float32)
WEIGHTS = (RANDOM.random((B, T)) < 0.6).astype(np.float32)
SMOOTHING = pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])


def numpy_losses(smoothing):
    """Cross-entropy with the smoothed target written out, in NumPy."""
    known = LOGITS - np.log(np.exp(LOGITS.astype(np.float64)).sum(-1, keepdims=True))
    target = (1 - smoothing) * np.eye(V)[LABELS] + smoothing / V
    return -(target * known).sum(-1)


@SMOOTHING
def test_token_losses_equal_numpy(smoothing):
    np.testing.assert_allclose(token_losses(LABELS, LOGITS, smoothing), numpy_losses(smoothing), rtol=1e-5)


@SMOOTHING
def test_the_gradient_is_the_probability_minus_the_target(smoothing):
    logits, upstream = tf.constant(LOGITS), RANDOM.normal(0, 1, (B, T)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(token_losses(LABELS, logits, smoothing) * upstream)
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    target = (1 - smoothing) * np.eye(V)[LABELS] + smoothing / V
    np.testing.assert_allclose(tape.gradient(total, logits), (probabilities - target) * upstream[..., None], atol=1e-6)


def test_a_label_whose_probability_underflows_has_a_finite_loss():
    logits = np.float32([[[0, 300, -500]]])
    for label, expected in enumerate((300, 0, 800)):
        assert float(token_losses([[label]], logits)[0, 0]) == pytest.approx(expected)


@SMOOTHING
def test_masked_loss_is_the_mean_over_counted_labels(smoothing):
    expected = numpy_losses(smoothing)[WEIGHTS > 0].mean()
    assert float(MaskedLoss(smoothing)(LABELS, LOGITS, WEIGHTS)) == pytest.approx(expected, rel=1e-5)


def test_labels_with_weight_zero_do_not_matter():
    labels, logits = LABELS.copy(), LOGITS.copy()
    labels[WEIGHTS == 0] = 0
    logits[WEIGHTS == 0] = RANDOM.normal(0, 50, V)
    for measure in (MaskedLoss(0.1), TokenLoss(), TokenAccuracy()):
        changed = float(measure(labels, logits, sample_weight=WEIGHTS))
        if isinstance(measure, keras.metrics.Metric):
            measure.reset_state()
        assert changed == pytest.approx(float(measure(LABELS, LOGITS, sample_weight=WEIGHTS)), rel=1e-6)


def test_loss_without_any_counted_label_is_zero():
    assert float(MaskedLoss()(LABELS, LOGITS, np.zeros((B, T)))) == 0


def test_half_precision_logits_are_summed_in_full_precision():
    losses = token_losses(LABELS, LOGITS.astype(np.float16))
    assert keras.backend.standardize_dtype(losses.dtype) == "float32"
    np.testing.assert_allclose(losses, numpy_losses(0), atol=0.02)


def test_a_hit_is_a_label_that_no_token_beats():
    np.testing.assert_array_equal(token_hits(LABELS, LOGITS), LOGITS.argmax(-1) == LABELS)
    np.testing.assert_array_equal(token_hits([[0, 1, 2]], np.float32([[[1, 2, 2]] * 3])), [[0, 1, 1]])


@pytest.mark.parametrize(
    ("metric", "values"), [(TokenLoss(), numpy_losses(0)), (TokenAccuracy(), LOGITS.argmax(-1) == LABELS)]
)
def test_metric_is_exact_over_batches_of_different_weight(metric, values):
    metric.reset_state()
    for rows in (slice(0, 1), slice(1, 3)):
        metric.update_state(LABELS[rows], LOGITS[rows], sample_weight=WEIGHTS[rows])
    assert WEIGHTS[:1].sum() != WEIGHTS[1:].sum()
    assert float(metric.result()) == pytest.approx(values[WEIGHTS > 0].mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "values"), [(TokenLoss(), numpy_losses(0)), (TokenAccuracy(), LOGITS.argmax(-1) == LABELS)]
)
def test_metric_is_exact_over_batches_of_different_length(metric, values):
    """Rows of 2 and of 5 labels: each label counts equally."""
    metric.reset_state()
    metric.update_state(LABELS[:1, :2], LOGITS[:1, :2])
    metric.update_state(LABELS[1:], LOGITS[1:])
    expected = np.concatenate([values[:1, :2].ravel(), values[1:].ravel()]).mean()
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("item", [MaskedLoss(0.3), TokenLoss(), TokenAccuracy("hits")])
def test_config_round_trip(item):
    again = type(item).from_config(item.get_config())
    assert again.get_config() == item.get_config()
    assert again.name == item.name
