"""Building blocks in a `fit` of the user's own: batches of a DataFrame, losses, callbacks and saving with Keras."""

import keras
import numpy as np
import pandas as pd
import pytest

import caption_tx
from caption_tx.config import TextConfig
from caption_tx.data.features.cache import open_cache
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import ConfigError, CorpusError

SHAPE = (2, 3, 5)


@pytest.fixture(scope="module")
def table():
    return pd.DataFrame({"image": ["b", "a", "b"], "caption": ["一只狗在跑", "一只猫", "狗"]}, index=[7, 8, 9])


@pytest.fixture(scope="module")
def tokenizer():
    words = ["一只", "狗", "猫", "在", "跑"]
    return caption_tx.Tokenizer(["[PAD]", "[UNK]", "[START]", "[END]", *words], "zh")


@pytest.fixture(scope="module")
def features():
    return {name: np.random.default_rng(row).random(SHAPE, np.float32) for row, name in enumerate("abc")}


@pytest.fixture
def captioner(tokenizer):
    return caption_tx.Captioner(
        caption_tx.CaptionerSettings(tokenizer.vocabulary_size, SHAPE, 8, 16, num_layers=1, num_heads=2, max_length=7)
    )


def test_a_row_has_all_captions_of_its_image(table, tokenizer, features):
    [(inputs, labels, weights)] = caption_tx.caption_batches(table, features, tokenizer)
    rows = {len(set(row.tolist()) - {0}): index for index, row in enumerate(inputs["segment_ids"].numpy())}
    row, other = rows[2], rows[1]
    np.testing.assert_array_equal(inputs["features"][row], features["b"])
    np.testing.assert_array_equal(inputs["features"][other], features["a"])
    words = Segmenter(TextConfig()).segment("一只狗在跑")
    first, second = tokenizer.tokenize([words, ["狗"]])
    assert inputs["token_ids"][row].numpy().tolist() == [*first[:-1], *second[:-1]]
    assert labels[row].numpy().tolist() == [*first[1:], *second[1:]]
    length = len(first) - 1
    assert inputs["positions"][row].numpy().tolist() == [*range(length), *range(len(second) - 1)]
    assert weights[other].numpy().sum() == len(tokenizer.tokenize([Segmenter(TextConfig()).segment("一只猫")])[0]) - 1


def test_stored_features_become_activations(table, tokenizer):
    stored = {name: np.full(SHAPE, 255, np.uint8) for name in "ab"}
    [(inputs, *_)] = caption_tx.caption_batches(table, stored, tokenizer)
    assert inputs["features"].dtype == "float32" and np.allclose(inputs["features"], 6)


def test_a_feature_cache_gives_the_same_batches(run, scenes):
    frame, _ = scenes
    frame = frame[frame["split"] == "train"][["image", "caption"]]
    cache = open_cache(str(run.workdir / "features"))
    names = frame["image"].unique()
    features = dict(zip(names, cache.load(list(names)), strict=True))
    both = [
        list(caption_tx.caption_batches(frame, source, run.captioner.tokenizer, batch_size=64))
        for source in (cache, features)
    ]
    [[first], [second]] = both
    order = [np.argsort(batch[0]["features"].numpy().sum(axis=(1, 2, 3))) for batch in (first, second)]
    for name in first[0]:
        np.testing.assert_array_equal(first[0][name].numpy()[order[0]], second[0][name].numpy()[order[1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.rename(columns={"caption": "text"}), "no column 'caption'; it has image, text"),
        (lambda table: table.assign(caption=["狗", None, "狗"]), "The caption in row 8 has no words: (None|nan)"),
        (lambda table: table.assign(image=["b", "z", "b"]), "1 of 2 images have no features; the first is 'z'"),
        (lambda table: table[:0], "The table of captions is empty"),
    ],
)
def test_tables_that_do_not_fit_are_explained(table, tokenizer, features, change, message):
    with pytest.raises(CorpusError, match=message):
        caption_tx.caption_batches(change(table), features, tokenizer)


@pytest.mark.slow
def test_a_captioner_trains_saves_and_loads_with_keras(table, tokenizer, features, captioner, tmp_path, capsys):
    batches = caption_tx.caption_batches(table, features, tokenizer, shuffle_seed=0)
    captioner.token_output.adapt(np.arange(1, tokenizer.vocabulary_size + 1))
    captioner.compile(
        keras.optimizers.Adam(0.03),
        caption_tx.MaskedLoss(0.1),
        weighted_metrics=[caption_tx.TokenLoss(), caption_tx.TokenAccuracy()],
    )
    lines = []
    images = caption_tx.SampleImages(["a", "b"], np.stack([features["a"], features["b"]]))
    samples = caption_tx.SampleCaptions(captioner, tokenizer, images, temperatures=(0,), log=lines.append)
    losses = captioner.fit(batches, epochs=60, shuffle=False, callbacks=[samples], verbose=0).history["token_loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert len(lines) == 60 and lines[-1].startswith("Epoch 60, sample captions:\n  a\n    temperature 0")
    assert "猫" in lines[-1]
    captioner.summary()
    assert "image_memory" in capsys.readouterr().out
    captioner.save(tmp_path / "captioner.keras")
    loaded = keras.saving.load_model(tmp_path / "captioner.keras")
    assert type(loaded) is caption_tx.Captioner and loaded.settings == captioner.settings
    for own, other in zip(captioner.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    [(inputs, *_)] = batches
    np.testing.assert_allclose(loaded(inputs), captioner(inputs), atol=1e-6)
    before, after = (model.evaluate(batches, verbose=0, return_dict=True) for model in (captioner, loaded))
    assert before == pytest.approx(after, abs=1e-5) and set(before) == {"loss", "token_loss", "accuracy"}
    assert loaded.optimizer.iterations.numpy() == 60


def test_the_optimizer_of_runs_is_saved_too(captioner, tmp_path):
    from caption_tx.training.optimizer import FusedAdam

    captioner.compile(FusedAdam(0.01, global_clipnorm=1.0), caption_tx.MaskedLoss())
    captioner.optimizer.build(captioner.trainable_variables)
    captioner.save(tmp_path / "captioner.keras")
    assert type(keras.saving.load_model(tmp_path / "captioner.keras").optimizer) is FusedAdam


def test_layers_are_parts_of_functional_models(tmp_path):
    from caption_tx.model.captioner import segment_mask
    from caption_tx.model.embedding import TokenAndPositionEmbedding
    from caption_tx.model.layers import DecoderBlock, ImageMemory
    from caption_tx.model.token_output import TokenOutput

    grid, ids, positions = keras.Input(SHAPE), *(keras.Input((4,), dtype="int32") for _ in range(2))
    memory = ImageMemory(8)(grid)
    x = TokenAndPositionEmbedding(11, 4, 8)(ids, positions)
    attended = keras.layers.MultiHeadAttention(2, 4)(x, memory)
    model = keras.Model([grid, ids, positions], TokenOutput(11, 8)(attended))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [np.ones((2, *SHAPE), np.float32), *np.ones((2, 2, 4), np.int32)]
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-6)
    for layer in (DecoderBlock(8, 16, 2, 0.1, 0.2, "pre"), ImageMemory(8, 0.1), TokenOutput(11, 8, tied=True)):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert type(copy) is type(layer) and copy.get_config() == layer.get_config()
    assert segment_mask(np.ones((1, 3))).shape == (1, 1, 3, 3)


@pytest.mark.slow
def test_callbacks_of_the_user_run_last_and_stop_the_run(scenes, small, tmp_path):
    frame, images = scenes
    seen = []

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, set(logs), type(self.model.captioner)))
            self.model.stop_training = epoch == 0

    settings = small | {"epochs": 3}
    run = caption_tx.train(frame, images, workdir=tmp_path / "run", log=seen.append, callbacks=[Stop()], **settings)
    [(epoch, names, kind)] = [item for item in seen if isinstance(item, tuple)]
    assert epoch == 0 and {"token_loss", "val_token_loss"} <= names and kind is caption_tx.Captioner
    assert len(run.history) == 1 and run.captioner.digest


@pytest.mark.parametrize("callbacks", [[print], [keras.callbacks.Callback], ["TensorBoard"]])
def test_what_is_no_callback_is_explained(callbacks, tmp_path):
    with pytest.raises(ConfigError, match=r"must be instances of keras\.callbacks\.Callback, got"):
        caption_tx.train("captions.csv", workdir=tmp_path / "run", callbacks=callbacks)
    assert not (tmp_path / "run").exists()
