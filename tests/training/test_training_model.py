"""Training steps in parts, in parallel chunks, and in half precision."""

import functools

import keras
import numpy as np
import pytest

from caption_tx.config import ModelConfig
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss
from caption_tx.training.optimizer import FusedAdam
from caption_tx.training.training_model import TrainingModel, make_captioner

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


@pytest.fixture(name="make_captioner")
def make_small_captioner(make_captioner):
    """With one block, since more take seconds to trace and behave alike."""
    return functools.partial(make_captioner, num_layers=1)


class Whole(TrainingModel):
    """Uses the steps of Keras."""

    train_step, test_step = keras.Model.train_step, keras.Model.test_step


def compiled(captioner, optimizer=None, backbone=None, kind=TrainingModel, **parts):
    model = kind(captioner, backbone, **parts)
    metrics = [TokenLoss(), TokenAccuracy()]
    optimizer = optimizer or keras.optimizers.SGD(0.2)
    model.compile(optimizer, MaskedLoss(0.1), weighted_metrics=metrics, jit_compile=False)
    return model


def assert_same_learning(whole, divided, start, batch):
    """Checks that logs and weights agree after some steps, and that the weights changed."""
    for step in range(4):
        logs = [model.train_on_batch(*batch, return_dict=True) for model in (whole, divided)]
        logs += [model.test_on_batch(*batch, return_dict=True) for model in (whole, divided)]
        for one, other in (logs[:2], logs[2:]):
            assert {name: float(value) for name, value in one.items()} == pytest.approx(
                {name: float(value) for name, value in other.items()}, rel=1e-5
            ), step
    for one, other in zip(whole.captioner.get_weights(), divided.captioner.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5)
    learned = zip(start, whole.captioner.get_weights(), strict=True)
    assert max(np.abs(one - first).max() for first, one in learned) > 0.1


def test_a_step_is_traced_once(make_captioner, batch):
    traced = []

    class Counting(TrainingModel):
        def train_step(self, data):
            traced.append(data)
            return super().train_step(data)

    model = compiled(make_captioner(), keras.optimizers.Adam(0.01), kind=Counting)
    for _ in range(2):
        model.train_on_batch(*batch)
    assert len(traced) == 1


@pytest.mark.parametrize(("accumulation_steps", "parallel_chunks"), [(1, 1), (3, 1), (1, 2), (1, 5), (3, 2)])
def test_a_batch_in_parts_equals_the_whole_batch(make_captioner, batch, accumulation_steps, parallel_chunks):
    """7 rows in 3 parts are 3, 3 and 1; in 5 parts the last has none."""
    parts = {"accumulation_steps": accumulation_steps, "parallel_chunks": parallel_chunks}
    whole, divided = compiled(make_captioner(), kind=Whole), compiled(make_captioner(), **parts)
    assert_same_learning(whole, divided, make_captioner().get_weights(), batch)


@pytest.mark.parametrize("parts", [{"accumulation_steps": 3}, {"parallel_chunks": 2}])
def test_parts_of_a_batch_of_images_with_a_single_cell(make_captioner, batch, parts):
    """The attention weights get no gradient there."""
    shape = (1, 1, batch[0]["features"].shape[-1])
    batch[0]["features"] = batch[0]["features"][:, :1, :1]
    whole, divided = (compiled(make_captioner(feature_shape=shape), **how) for how in ({}, parts))
    assert_same_learning(whole, divided, make_captioner(feature_shape=shape).get_weights(), batch)


def test_a_chunk_may_have_no_images(make_captioner, batch, backbone):
    """5 images in 4 chunks are 2, 2, 1 and none."""
    inputs, labels, weights = ({name: rows[:5] for name, rows in batch[0].items()}, batch[1][:5], batch[2][:5])
    inputs["images"] = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    del inputs["features"]
    shape = backbone.feature_shape
    whole, divided = (
        compiled(make_captioner(feature_shape=shape), backbone=backbone, **how)
        for how in ({"kind": Whole}, {"parallel_chunks": 4})
    )
    assert_same_learning(whole, divided, make_captioner(feature_shape=shape).get_weights(), (inputs, labels, weights))


@pytest.mark.parametrize(
    "parts", [{}, {"accumulation_steps": 3}, {"parallel_chunks": 2}], ids=["whole", "accumulated", "parallel"]
)
@pytest.mark.slow
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
