"""The checkpoint of a run: what it restores, when an epoch is best, and what is rejected."""

import json

import keras
import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.training.callbacks import EarlyStopping, SaveBest
from caption_tx.training.checkpoint import RunCheckpoint, RunHistory, _describe_difference
from caption_tx.training.objective import MaskedLoss, TokenLoss
from caption_tx.training.training_model import TrainingModel


@pytest.fixture(scope="module")
def models(make_captioner):
    """Two models with different weights, which all tests use one after another, since building one takes a second."""
    return [TrainingModel(make_captioner(seed, dropout=0.1, num_layers=1)) for seed in (0, 1)]


@pytest.fixture
def make(models, tmp_path):
    """Compiles the first model, in a second call the other; returns it and a RunCheckpoint in the test's folder."""
    unused = iter(models)

    def make(fingerprint="f", **settings):
        model = next(unused)
        schedule = keras.optimizers.schedules.CosineDecay(1e-2, 40)
        model.compile(keras.optimizers.Adam(schedule), MaskedLoss(), weighted_metrics=[TokenLoss()], run_eagerly=True)
        history = RunHistory(**({"patience": 3} | settings))
        checkpoint = RunCheckpoint(model.captioner, history, tmp_path / "checkpoint.npz", fingerprint)
        checkpoint.set_model(model)
        return model, checkpoint

    return make


@pytest.fixture
def step(features):
    """One training step on one fixed batch."""
    random = np.random.default_rng(0)
    token_ids = random.integers(4, 13, (7, 10)).astype(np.int32)
    inputs = {
        "features": (features * 40).astype(np.uint8),
        "token_ids": token_ids[:, :-1],
        "positions": np.tile(np.arange(9, dtype=np.int32), (7, 1)),
        "segment_ids": np.ones((7, 9), np.int32),
    }

    def step(model):
        return float(np.ravel(model.train_on_batch(inputs, token_ids[:, 1:], np.ones((7, 9), np.float32)))[0])

    return step


def values(variables):
    return [np.asarray(variable) for variable in variables]


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def change_weights(model):
    for weight in model.captioner.trainable_weights:
        weight.assign(weight + 0.1)


def finish_epochs(checkpoint, *losses):
    """Finishes one epoch for each validation loss."""
    for epoch, loss in enumerate(losses, len(checkpoint.history.epochs)):
        checkpoint.on_epoch_end(epoch, {"loss": 1.0, "val_token_loss": loss, "accuracy": 0.5})


def test_weights_optimizer_history_and_the_next_step_are_restored(make, step):
    model, checkpoint = make()
    for _ in range(2):
        step(model)
    finish_epochs(checkpoint, 2.0, 1.0)
    kept = values(model.captioner.variables), values(model.optimizer.variables)
    following = [step(model) for _ in range(2)]

    again, restored = make()
    assert restored.restore(again) == 2
    assert int(again.optimizer.iterations) == 2
    assert any("momentum" in variable.path for variable in again.optimizer.variables)
    assert_same(values(again.captioner.variables), kept[0])
    assert_same(values(again.optimizer.variables), kept[1])
    assert restored.history.epochs == checkpoint.history.epochs
    assert [step(again) for _ in range(2)] == pytest.approx(following, rel=1e-5)


def test_without_a_checkpoint_no_epochs_are_done(make):
    model, checkpoint = make()
    assert checkpoint.restore(model) == 0
    assert checkpoint.history.best_epoch is None


@pytest.mark.parametrize("damage", ["empty", "truncated", "changed", "text", "another npz"])
def test_a_damaged_checkpoint_is_named(make, damage):
    model, checkpoint = make()
    finish_epochs(checkpoint, 1.0)
    data = bytearray(checkpoint.path.read_bytes())
    if damage == "changed":
        data[len(data) // 2] ^= 255
    checkpoint.path.write_bytes(
        {"empty": b"", "truncated": data[: len(data) // 2], "changed": bytes(data), "text": b"text"}.get(damage, b"")
    )
    if damage == "another npz":
        np.savez(checkpoint.path, other=np.zeros(3))
    with pytest.raises(CaptionTxError, match=r"checkpoint\.npz is damaged"):
        checkpoint.restore(model)


def test_a_checkpoint_of_other_captions_is_rejected(make):
    model, checkpoint = make()
    finish_epochs(checkpoint, 1.0)
    model, other = make(fingerprint="g")
    with pytest.raises(CaptionTxError, match="other captions"):
        other.restore(model)


@pytest.mark.parametrize(
    ("stored", "own", "dictionary", "words", "expected"),
    [
        ("a", "b", "狗\n", "狗 猫", "on other captions or images (the files have other contents now)"),
        (
            "a",
            "b",
            "狗\n",
            "狗 鸟",
            "with another vocabulary (1 words are new and 1 gone, such as '鸟') and on other captions or images (the "
            "files have other contents now)",
        ),
        ("a", "b", "猫\n", "狗 猫", "with another user dictionary (text.user_dictionary has other contents now)"),
        ("a 1", "a 2", "狗\n", "狗 猫", "from another initial bundle (training.init has other contents now)"),
    ],
)
def test_the_difference_from_the_run_in_a_workdir_is_named(tmp_path, stored, own, dictionary, words, expected):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "vocabulary.txt").write_text("狗\n猫\n", encoding="utf-8")
    (tmp_path / "bundle" / "user_dictionary.txt").write_text("狗\n", encoding="utf-8")
    (tmp_path / "user_dictionary.txt").write_text(dictionary, encoding="utf-8")
    assert _describe_difference(tmp_path, stored, own, words.split()) == expected


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(make, loss):
    _, checkpoint = make()
    finish_epochs(checkpoint, 1.0)
    before = checkpoint.path.read_bytes()
    with pytest.raises(CaptionTxError, match=r"epoch 2.*learning_rate"):
        checkpoint.on_epoch_end(1, {"loss": loss, "val_token_loss": loss})
    assert checkpoint.path.read_bytes() == before


def test_the_best_weights_are_loaded_even_after_a_restart(make):
    model, checkpoint = make()
    change_weights(model)
    finish_epochs(checkpoint, 3.0)
    change_weights(model)
    finish_epochs(checkpoint, 1.0)
    kept = model.captioner.get_weights()
    change_weights(model)
    finish_epochs(checkpoint, 2.0)
    assert checkpoint.history.best_epoch == 1

    again, restored = make()
    restored.restore(again)
    for run in (checkpoint, restored):
        assert np.abs(run.captioner.get_weights()[0] - kept[0]).max() > 0
        run.load_best_weights()
        assert_same(run.captioner.get_weights(), kept)


def add_epochs(history, *values):
    """Appends an epoch for each value of the monitored metric, None without one; returns numbers of best epochs."""
    improved = []
    for number, value in enumerate(values, 1):
        history.epochs.append({"epoch": number} if value is None else {"epoch": number, history.monitor: value})
        if history.improved:
            improved.append(number)
    return improved


@pytest.mark.parametrize(
    ("losses", "improved", "stopped"),
    [
        ([3, 2, 1], [1, 2, 3], False),
        ([1, 2], [1], False),
        ([1, 2, 2], [1], True),
        ([3, 1, 2, 0.5, 4], [1, 2, 4], False),
    ],
)
def test_training_stops_after_patience_epochs_without_improvement(losses, improved, stopped):
    history = RunHistory(patience=2)
    assert not history.stopped
    assert add_epochs(history, *losses) == improved
    assert history.stopped == stopped


@pytest.mark.parametrize(
    ("scores", "improved", "best", "stopped"),
    [
        ([None, 5.0, None, 7.0], [2, 4], 3, False),
        ([None, 7.0, None, 5.0], [2], 1, False),
        ([None, 7.0, None, 5.0, None], [2], 1, True),
        ([None], [], None, False),
        ([3.0, 3.0], [1], 0, False),
    ],
)
def test_the_highest_score_is_best_and_epochs_without_a_score_never_are(scores, improved, best, stopped):
    history = RunHistory("val_cider", patience=3, maximize=True)
    assert add_epochs(history, *scores) == improved
    assert (history.best_epoch, history.stopped) == (best, stopped)


def test_training_losses_of_an_earlier_stage_are_not_compared():
    history = RunHistory("token_loss", patience=1, first_epoch=2)
    assert add_epochs(history, 1.0, 2.0) == [1]
    assert not history.stopped
    assert add_epochs(history, 3.0) == [1]
    assert history.best_epoch == 2


def test_callbacks_after_the_checkpoint_save_the_best_and_stop(make):
    saved = []
    model, checkpoint = make(patience=1)
    model.stop_training = False
    callbacks = [checkpoint, SaveBest(checkpoint.history, saved.append), EarlyStopping(checkpoint.history)]
    for epoch, loss in enumerate((2.0, 1.0, 3.0)):
        assert not model.stop_training
        for callback in callbacks:
            callback.set_model(model)
            callback.on_epoch_end(epoch, {"val_token_loss": loss})
    assert saved == checkpoint.history.epochs[:2]
    assert model.stop_training
    again, restored = make(patience=1)
    restored.restore(again)
    assert restored.history.stopped


def test_a_score_that_is_not_finite_stops(make):
    _, checkpoint = make(monitor="val_cider", maximize=True)
    with pytest.raises(CaptionTxError, match="val_cider is nan after epoch 1"):
        checkpoint.on_epoch_end(0, {"val_cider": float("nan")})


def test_a_checkpoint_contains_no_pickle(make):
    _, checkpoint = make()
    finish_epochs(checkpoint, 1.0)
    with np.load(checkpoint.path, allow_pickle=False) as stored:
        assert json.loads(str(stored["state"]))["fingerprint"] == "f"
        assert all(stored[name].dtype != object for name in stored.files)
