"""A run's state on disk: what a checkpoint brings back, and what it refuses."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from caption_tx.config import DecodingOptions
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.scores import score
from caption_tx.inference.search.decode import decode
from caption_tx.training import callbacks
from caption_tx.training.callbacks import CaptionMetrics, RunCheckpoint, SampleCaptions, curves_figure
from caption_tx.training.objective import MaskedLoss, TokenLoss
from caption_tx.training.training_model import TrainingModel


@pytest.fixture
def make(make_captioner, tmp_path):
    """Makes a compiled model and its RunCheckpoint in the test's folder."""

    def make(seed=0, patience=3, fingerprint="f", on_best=lambda logs: None, monitor="val_token_loss", highest=False):
        model = TrainingModel(make_captioner(seed, dropout=0.1))
        schedule = keras.optimizers.schedules.CosineDecay(1e-2, 40)
        model.compile(keras.optimizers.Adam(schedule), MaskedLoss(), weighted_metrics=[TokenLoss()], run_eagerly=True)
        state = RunCheckpoint(model.captioner, tmp_path, fingerprint, patience, on_best, monitor, highest=highest)
        state.set_model(model)
        return model, state

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


def finish_epochs(state, *losses):
    for epoch, loss in enumerate(losses, len(state.history)):
        state.on_epoch_end(epoch, {"loss": 1.0, "token_loss": 1.0, "val_token_loss": loss, "accuracy": 0.5})


def test_checkpoint_brings_back_weights_optimizer_history_and_the_next_step(make, step):
    model, state = make()
    for _ in range(3):
        step(model)
    finish_epochs(state, 2.0, 1.0)
    kept = values(model.captioner.variables), values(model.optimizer.variables)
    following = [step(model) for _ in range(3)]

    again, restored = make(seed=1)
    assert restored.restore(again) == 2
    assert int(again.optimizer.iterations) == 3
    assert any("momentum" in variable.path for variable in again.optimizer.variables)
    assert_same(values(again.captioner.variables), kept[0])
    assert_same(values(again.optimizer.variables), kept[1])
    assert restored.history == state.history
    assert [step(again) for _ in range(3)] == pytest.approx(following, rel=1e-5)


def test_no_checkpoint_is_zero_epochs_done(make):
    model, state = make()
    assert state.restore(model) == 0
    assert state.best_epoch is None


@pytest.mark.parametrize("damage", ["empty", "truncated", "changed", "text", "another npz"])
def test_damaged_checkpoint_is_named(make, step, damage):
    model, state = make()
    step(model)
    finish_epochs(state, 1.0)
    data = bytearray(state.path.read_bytes())
    if damage == "changed":
        data[len(data) // 2] ^= 255
    state.path.write_bytes(
        {"empty": b"", "truncated": data[: len(data) // 2], "changed": bytes(data), "text": b"text"}.get(damage, b"")
    )
    if damage == "another npz":
        np.savez(state.path, other=np.zeros(3))
    with pytest.raises(CaptionTxError, match=r"checkpoint\.npz is damaged"):
        make()[1].restore(make()[0])


def test_checkpoint_of_other_captions_is_refused(make, step):
    model, state = make()
    step(model)
    finish_epochs(state, 1.0)
    model, other = make(fingerprint="g")
    with pytest.raises(CaptionTxError, match="other captions"):
        other.restore(model)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_loss_that_is_no_number_stops_and_keeps_the_checkpoint(make, step, loss):
    model, state = make()
    step(model)
    finish_epochs(state, 1.0)
    before = state.path.read_bytes()
    with pytest.raises(CaptionTxError, match=r"epoch 2.*learning_rate"):
        state.on_epoch_end(1, {"loss": loss, "val_token_loss": loss})
    assert state.path.read_bytes() == before


def test_best_weights_come_back_also_after_a_restart(make, step):
    best = []
    model, state = make(on_best=lambda logs: best.append(logs["epoch"]))
    step(model)
    finish_epochs(state, 3.0)
    step(model)
    finish_epochs(state, 1.0)
    kept = model.captioner.get_weights()
    step(model)
    finish_epochs(state, 2.0)
    assert best == [1, 2]
    assert state.best_epoch == 1

    again, restored = make(seed=5)
    restored.restore(again)
    for run in (state, restored):
        assert np.abs(run.captioner.get_weights()[0] - kept[0]).max() > 0
        run.use_best()
        assert_same(run.captioner.get_weights(), kept)


@pytest.mark.parametrize(
    ("losses", "stopped"), [([3, 2, 1], False), ([1, 2], False), ([1, 2, 2], True), ([3, 1, 2, 0.5, 4], False)]
)
def test_training_stops_after_patience_without_a_better_value(make, step, losses, stopped):
    model, state = make(patience=2)
    step(model)
    model.stop_training = False
    finish_epochs(state, *losses)
    assert (state.stopped, model.stop_training) == (stopped, stopped)
    again, restored = make(patience=2)
    restored.restore(again)
    assert restored.stopped == stopped


def finish_scored(state, *ciders):
    """Epochs with falling losses; None is one without a score."""
    for epoch, cider in enumerate(ciders, len(state.history)):
        logs = {"loss": 9.0 - epoch, "val_token_loss": 9.0 - epoch, "accuracy": 0.5}
        state.on_epoch_end(epoch, logs if cider is None else logs | {"val_cider": cider})


@pytest.mark.parametrize(
    ("ciders", "best", "stopped"),
    [
        ([None, 5.0, None, 7.0], 3, False),
        ([None, 7.0, None, 5.0], 1, False),
        ([None, 7.0, None, 5.0, None], 1, True),
        ([None], None, False),
        ([3.0, 3.0], 0, False),
    ],
)
def test_a_score_decides_by_its_highest_value_among_the_epochs_that_have_one(make, step, ciders, best, stopped):
    found = []
    model, state = make(monitor="val_cider", highest=True, on_best=lambda logs: found.append(logs["epoch"]))
    step(model)
    model.stop_training = False
    finish_scored(state, *ciders)
    assert (state.best_epoch, state.stopped, model.stop_training) == (best, stopped, stopped)
    assert len(found) == sum(
        cider is not None and cider > max([0, *filter(None, ciders[:number])]) for number, cider in enumerate(ciders)
    )
    again, restored = make(seed=1, monitor="val_cider", highest=True)
    assert restored.restore(again) == len(ciders)
    assert (restored.best_epoch, restored.stopped) == (best, stopped)


def test_a_score_that_is_no_number_stops(make, step):
    model, state = make(monitor="val_cider", highest=True)
    step(model)
    with pytest.raises(CaptionTxError, match="val_cider is nan after epoch 1"):
        finish_scored(state, float("nan"))


def test_free_running_scores_are_those_of_the_captions_and_come_every_few_epochs(make_captioner, features, tokenizer):
    captioner, told = make_captioner(), []
    stored = (features * 255 / 6).astype(np.uint8)
    references = {f"{number}.jpg": ["a b c", "a d e f"] for number in range(len(features))}
    callback = CaptionMetrics(
        captioner, tokenizer, stored, references, "en", DecodingOptions(), every=3, last=5, log=told.append
    )
    seen = []
    for epoch in range(5):
        logs = {"loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        seen.append(set(logs) - {"loss"})
    assert [bool(names) for names in seen] == [False, False, True, False, True]
    assert seen[-1] == set(CaptionMetrics.NAMES)
    activations = stored * np.float32(6 / 255)
    texts = [best.text for [best] in decode(captioner, activations, tokenizer)]
    wanted = score(dict(zip(references, texts, strict=True)), references, "en", bootstrap=None)
    assert logs["val_cider"] == wanted["cider"]
    assert logs["val_bleu4"] == wanted["bleu4"]
    assert logs["val_distinct"] == len(set(texts))
    assert [text.split(",")[0] for text in told] == ["Epoch 3", "Epoch 5"]
    # A worker without features takes what the first worker found.
    other = CaptionMetrics(
        captioner, tokenizer, None, references, "en", DecodingOptions(), 1, 5, told.append, lambda mine: [1.0, 2.0, 3.0]
    )
    logs = {}
    other.on_epoch_end(0, logs)
    assert (logs, len(told)) == (dict(zip(CaptionMetrics.NAMES, [1.0, 2.0, 3.0], strict=True)), 2)


def test_curves_show_scores_at_the_epochs_that_have_them():
    history = pd.DataFrame({"epoch": [1, 2, 3], "token_loss": [3, 2, 1], "accuracy": [0.1, 0.2, 0.3]})
    history = history.assign(val_cider=[np.nan, 5, 6], val_bleu4=[np.nan, 1, 2])
    *_, scores = curves_figure(history).axes
    lines = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in scores.lines}
    assert lines == {"CIDEr": ([2, 3], [5, 6]), "BLEU-4": ([2, 3], [1, 2])}


def test_logs_are_written_every_epoch_and_curves_at_the_end(make, step, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        callbacks, "curves_figure", lambda history: (drawn.append(len(history)), curves_figure(history))[1]
    )
    model, state = make()
    step(model)
    finish_epochs(state, 2.0, 1.5)
    assert drawn == [1]  # the second epoch came too soon for another
    state.on_train_end()
    state.on_train_end()
    assert drawn == [1, 2]
    monkeypatch.setattr(callbacks, "CURVES_EVERY", 0.0)
    finish_epochs(state, 1.2)
    assert drawn == [1, 2, 3]
    table = pd.read_csv(tmp_path / "log.csv")
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["val_token_loss"].tolist() == [2.0, 1.5, 1.2]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.tmp"))


def test_checkpoint_holds_no_pickle(make, step):
    model, state = make()
    step(model)
    finish_epochs(state, 1.0)
    with np.load(state.path, allow_pickle=False) as stored:
        assert json.loads(str(stored["state"]))["fingerprint"] == "f"
        assert all(stored[name].dtype != object for name in stored.files)


def test_curves_show_training_and_validation():
    history = pd.DataFrame({"epoch": [1, 2], "token_loss": [3, 2], "val_token_loss": [4, 3], "accuracy": [0.1, 0.2]})
    loss, accuracy = curves_figure(history).axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[3, 2], [4, 3]]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == [[0.1, 0.2]]
    assert "nats" in loss.get_ylabel()


def test_samples_name_image_reference_and_temperature_and_are_kept(make_captioner, features, tokenizer, tmp_path):
    told = []
    path = tmp_path / "samples.txt"
    samples = SampleCaptions(
        make_captioner(), tokenizer, ["x.jpg", "y.jpg"], features[:2], ["a b", "c"], (0.0, 1.0), path, told.append
    )
    samples.on_epoch_end(0)
    samples.on_epoch_end(1)
    assert len(told) == 2
    assert path.read_text(encoding="utf-8") == "".join(f"{text}\n" for text in told)
    for word in ("Epoch 2", "x.jpg", "y.jpg", "a b", "temperature 0 ", "temperature 1 "):
        assert word in told[1]
