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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module", name="make_captioner")
def make_small_captioner(make_captioner):
    """With one block, since more take seconds to trace and behave alike."""
    return functools.partial(make_captioner, num_layers=1)


class Whole(TrainingModel):
    """Uses the steps of Keras."""

    train_step, test_step = keras.Model.train_step, keras.Model.test_step


def compiled(captioner, optimizer=None, backbone=None, kind=TrainingModel, run_eagerly=False, **parts):
    model = kind(captioner, backbone, **parts)
    metrics = [TokenLoss(), TokenAccuracy()]
    optimizer = optimizer or keras.optimizers.SGD(0.2, momentum=0.5)
    model.compile(optimizer, MaskedLoss(0.1), weighted_metrics=metrics, jit_compile=False, run_eagerly=run_eagerly)
    return model


def learn(model, batch):
    """The logs of two steps, each followed by an evaluation, and the weights afterwards."""
    logs = []
    for _ in range(2):
        for function in (model.train_on_batch, model.test_on_batch):
            logs.append({name: float(value) for name, value in function(*batch, return_dict=True).items()})
    return logs, model.captioner.get_weights()


def learn_whole(captioner, batch, backbone=None, kind=Whole):
    """What `learn` gives for whole batches; checks that the weights change. Eager, since tracing takes longer."""
    start = captioner.get_weights()
    logs, weights = learn(compiled(captioner, backbone=backbone, kind=kind, run_eagerly=True), batch)
    assert max(np.abs(one - first).max() for first, one in zip(start, weights, strict=True)) > 0.1
    return logs, weights


def assert_same_learning(whole, divided):
    """Checks that logs and weights agree."""
    for step, (one, other) in enumerate(zip(whole[0], divided[0], strict=True)):
        assert one == pytest.approx(other, rel=1e-5), step
    for one, other in zip(whole[1], divided[1], strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5)


class Counting(TrainingModel):
    """Counts how often a training step is traced."""

    traced = 0

    def train_step(self, data):
        self.traced += 1
        return super().train_step(data)


@pytest.fixture(scope="module")
def whole(make_captioner, batch):
    return learn_whole(make_captioner(), batch)


@pytest.mark.parametrize(("accumulation_steps", "parallel_chunks"), [(1, 1), (3, 2)])
def test_a_batch_in_parts_equals_the_whole_batch(make_captioner, batch, whole, accumulation_steps, parallel_chunks):
    """7 rows in 3 parts are 3, 3 and 1. A step is traced once, not again when its optimizer has variables."""
    parts = {"accumulation_steps": accumulation_steps, "parallel_chunks": parallel_chunks}
    model = compiled(make_captioner(), kind=Counting, **parts)
    assert_same_learning(whole, learn(model, batch))
    assert model.traced == 1


def test_parts_of_a_batch_of_images_with_a_single_cell(make_captioner, batch):
    """The attention weights get no gradient there, which the steps of Keras do not accept."""
    shape = (1, 1, batch[0]["features"].shape[-1])
    batch = ({**batch[0], "features": batch[0]["features"][:, :1, :1]}, *batch[1:])
    results = []
    for parts in ({"run_eagerly": True}, {"accumulation_steps": 3}):
        model = compiled(make_captioner(feature_shape=shape), **parts)
        start = model.captioner.get_weights()
        loss = model.train_on_batch(*batch, return_dict=True)["loss"]
        results.append(([{"loss": float(loss)}], model.captioner.get_weights()))
        assert max(np.abs(one - first).max() for first, one in zip(start, results[-1][1], strict=True)) > 0.01
    assert_same_learning(*results)


def test_a_chunk_may_have_no_images(make_captioner, batch, backbone):
    """One image in two chunks, as in the last batch of an epoch."""
    inputs, labels, weights = ({name: rows[:1] for name, rows in batch[0].items()}, batch[1][:1], batch[2][:1])
    inputs["images"] = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    del inputs["features"]
    shape = backbone.feature_shape
    whole = learn_whole(make_captioner(feature_shape=shape), (inputs, labels, weights), backbone)
    model = compiled(make_captioner(feature_shape=shape), backbone=backbone, parallel_chunks=2)
    assert_same_learning(whole, learn(model, (inputs, labels, weights)))


@pytest.mark.slow
def test_half_precision_learns_what_float32_learns(sizes, batch):
    losses = {}
    parts = {"accumulation_steps": 3, "parallel_chunks": 2}
    for name, how in (("float32", {}), ("mixed_bfloat16", {}), ("mixed_float16", parts)):
        keras.utils.set_random_seed(0)
        config = ModelConfig(32, 48, 1, 2, 12, 0.0, 0.0, 0.0)
        captioner = make_captioner(sizes["vocabulary_size"], sizes["feature_shape"], config, name)
        captioner.token_output.adapt(np.array([0, 10**9, 0, *[1] * 10]))  # log prior from 0 to -20
        model = compiled(captioner, FusedAdam(0.01, global_clipnorm=1.0), **how)
        losses[name] = [float(model.train_on_batch(*batch, return_dict=True)["loss"]) for _ in range(30)]
        assert keras.backend.standardize_dtype(model(batch[0]).dtype) == "float32"
        assert {weight.dtype for weight in captioner.trainable_weights} == {"float32"}
    for values in losses.values():
        assert values[-1] < 0.7 * values[0]
        assert values[-1] == pytest.approx(losses["float32"][-1], rel=0.05)
