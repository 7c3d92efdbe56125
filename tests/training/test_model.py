"""A training step in parts, and in half precision."""

import keras
import numpy as np
import pytest

from caption_tx.config import ModelConfig
from caption_tx.training.model import TrainingModel, make_captioner
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss
from caption_tx.training.optimizer import FusedAdam

ROWS, LENGTH = 7, 9


@pytest.fixture
def batch(features):
    """7 images with captions of different lengths, so that parts of a batch weigh differently."""
    random = np.random.default_rng(0)
    token_ids = random.integers(4, 13, (ROWS, LENGTH + 1)).astype(np.int32)
    real = np.arange(LENGTH) < random.integers(1, LENGTH + 1, (ROWS, 1))
    inputs = {
        "features": (features * 40).astype(np.uint8),
        "token_ids": np.where(real, token_ids[:, :-1], 0),
        "positions": np.where(real, np.arange(LENGTH, dtype=np.int32), 0),
        "segment_ids": real.astype(np.int32),
    }
    return inputs, np.where(real, token_ids[:, 1:], 0), real.astype(np.float32)


def compiled(captioner, optimizer=None, **parts):
    model = TrainingModel(captioner, **parts)
    metrics = [TokenLoss(), TokenAccuracy()]
    model.compile(optimizer or keras.optimizers.SGD(0.2), MaskedLoss(0.1), weighted_metrics=metrics)
    return model


@pytest.mark.parametrize(
    ("how", "parts"),
    [*(("accumulation_steps", parts) for parts in (2, 3, 7, 9)), ("lanes", 2), ("lanes", 9)],
)
def test_a_batch_in_parts_is_the_batch_at_once(make_captioner, batch, how, parts):
    """The same weights and the same logs after some steps; 7 rows in 3 parts are 3, 3 and 1, in 9 some are none."""
    whole, divided = compiled(make_captioner()), compiled(make_captioner(), **{how: parts})
    for step in range(4):
        logs = [model.train_on_batch(*batch, return_dict=True) for model in (whole, divided)]
        assert {name: float(value) for name, value in logs[0].items()} == pytest.approx(
            {name: float(value) for name, value in logs[1].items()}, rel=1e-5
        ), step
    start = make_captioner().get_weights()
    for one, other in zip(whole.get_weights(), divided.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5)
    assert max(np.abs(one - first).max() for first, one in zip(start, whole.get_weights(), strict=True)) > 0.1


@pytest.mark.parametrize("parts", [{}, {"accumulation_steps": 3}, {"lanes": 2}], ids=["whole", "after", "beside"])
def test_half_precision_learns_what_float32_learns(sizes, batch, parts):
    losses = {}
    for name in ("float32", "mixed_bfloat16", "mixed_float16"):
        keras.utils.set_random_seed(0)
        config = ModelConfig(32, 48, 2, 2, 12, 0.0, 0.0, 0.0)
        captioner = make_captioner(sizes["vocabulary_size"], sizes["feature_shape"], config, name)
        captioner.token_output.adapt(np.array([0, 10**9, 0, *[1] * 10]))  # log prior from 0 to -20
        model = compiled(captioner, FusedAdam(0.01, global_clipnorm=1.0), **parts)
        losses[name] = [float(model.train_on_batch(*batch, return_dict=True)["loss"]) for _ in range(30)]
        assert keras.backend.standardize_dtype(model(batch[0]).dtype) == "float32"
        assert {weight.dtype for weight in captioner.trainable_weights} == {"float32"}
    for values in losses.values():
        assert values[-1] < 0.7 * values[0]
        assert values[-1] == pytest.approx(losses["float32"][-1], rel=0.05)
