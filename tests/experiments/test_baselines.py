"""The recurrent baselines: presets train, beam search is exact, and scheduled sampling uses the model's own words."""

import importlib
import itertools
import sys
from argparse import Namespace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from caption_tx.data.batches.packing import pack_captions
from caption_tx.data.text.tokenizer import TokenLists
from caption_tx.data.text.vocabulary import END, START, UNK
from caption_tx.training.objective import MaskedLoss

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
VOCABULARY, CHANNELS, LENGTH = 13, 7, 5
COLORS = {"red": (220, 30, 30), "green": (30, 190, 40), "blue": (30, 50, 220), "yellow": (230, 220, 40)}


@pytest.fixture(scope="module")
def experiments():
    """The modules `recurrent`, `merge_lstm` and `show_tell`, which import each other like scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXPERIMENTS), *sys.path])
        yield Namespace(**{name: importlib.import_module(name) for name in ("recurrent", "merge_lstm", "show_tell")})


@pytest.fixture(scope="module", params=["merge", "merge with four layers", "show and tell"])
def model(request, experiments):
    """One of the models; tests put back the weights that they change."""
    keras.utils.set_random_seed(0)
    if request.param == "show and tell":
        model = experiments.show_tell.ShowTell(VOCABULARY, CHANNELS, width=6)
    else:
        layers = 1 if request.param == "merge" else 4
        model = experiments.merge_lstm.MergeCaptioner(VOCABULARY, CHANNELS, 6, layers, embedding_dim=5)
    return with_large_weights(model)


def with_large_weights(model):
    """The model with random weights, large enough that its inputs matter."""
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def make_inputs(rows=3):
    random = np.random.default_rng(1)
    tokens = random.integers(4, VOCABULARY, (rows, LENGTH)).astype(np.int32)
    tokens[:, 0] = START
    return {"features": random.uniform(0, 3, (rows, CHANNELS)).astype(np.float32), "token_ids": tokens}


def test_steps_equal_the_full_pass(model):
    inputs = make_inputs()
    logits, state = np.asarray(model(inputs)), model.begin(inputs["features"])
    for position in range(LENGTH):
        step_logits, state = model.step(inputs["token_ids"][:, position], state)
        np.testing.assert_allclose(step_logits, logits[:, position], atol=1e-4)
    assert np.abs(logits[0] - logits[1]).max() > 0.1


def caption_log_probabilities(model, features, captions):
    """Log-probabilities of captions of one length with their end tokens; suppressed tokens keep their share."""
    tokens = np.array([[START, *words] for words in captions], np.int32)
    logits = np.asarray(model({"features": np.tile(features, (len(captions), 1)), "token_ids": tokens}), np.float64)
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    labels = np.array([[*words, END] for words in captions])
    return np.take_along_axis(scores, labels[:, :, None], axis=2).sum(axis=(1, 2))


def test_wide_beam_finds_the_best_caption(model, experiments):
    inputs, words, bias = make_inputs(8), range(4, 7), np.array(model.output_layer.bias)
    allowed = np.where(np.isin(np.arange(VOCABULARY), words), 0.0, -1e3)
    allowed[END] = -3.0  # so that captions of two words are best, which depend on the states of their beams
    model.output_layer.bias.assign(allowed)
    # Nine captions of two words with four continuations each: a beam of 40 drops none.
    captions = experiments.recurrent.search(model, inputs["features"], beam_width=40, max_length=3)
    for image, caption in enumerate(captions):
        scores = {}
        for length in range(3):
            candidates = list(itertools.product(words, repeat=length))
            log_probabilities = caption_log_probabilities(model, inputs["features"][image], candidates)
            scores |= dict(zip(candidates, log_probabilities / (length + 1) ** 0.7, strict=True))
        assert scores[tuple(caption)] == pytest.approx(max(scores.values()), abs=1e-4)
    model.output_layer.bias.assign(bias)


def test_beam_of_one_is_greedy(model, experiments):
    inputs = make_inputs()
    for image, caption in enumerate(
        experiments.recurrent.search(model, inputs["features"], beam_width=1, max_length=4)
    ):
        words = []
        for _ in range(4):
            tokens = np.array([[START, *words]], np.int32)
            logits = np.array(model({"features": inputs["features"][image : image + 1], "token_ids": tokens}))[0, -1]
            logits[:3] = -np.inf
            if (word := int(logits.argmax())) == END:
                break
            words.append(word)
        assert caption == words


@pytest.mark.parametrize("name", ["mobilenet", "vgg16", "resnet50", "inceptionv3"])
def test_presets_train_and_keep_their_word_vectors(experiments, name):
    preset = experiments.merge_lstm.PRESETS[name]
    vectors = np.random.default_rng(0).normal(0, 1, (VOCABULARY, preset.vectors)).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = experiments.merge_lstm.MergeCaptioner(
        VOCABULARY, CHANNELS, lstm_layers=preset.lstm_layers, embeddings=vectors if preset.vectors else None
    )
    initial_weights = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.Adam(0.01), MaskedLoss(0.0), run_eagerly=True)
    labels, weights = np.resize(np.arange(VOCABULARY), (3, LENGTH)), np.ones((3, LENGTH), np.float32)
    loss = model.train_on_batch(make_inputs(), labels, sample_weight=weights)
    assert loss == pytest.approx(np.log(VOCABULARY), rel=0.3)
    assert all(
        (np.asarray(weight) != initial).any()
        for weight, initial in zip(model.trainable_weights, initial_weights, strict=True)
    )
    assert len(model.lstms) == (4 if name == "resnet50" else 1)
    if preset.vectors:
        np.testing.assert_array_equal(model.embedding.embeddings, vectors)


def test_scheduled_sampling_uses_the_models_own_words(experiments):
    keras.utils.set_random_seed(0)
    model = with_large_weights(experiments.show_tell.ShowTell(VOCABULARY, CHANNELS, width=6, dropout=0.0))
    inputs = make_inputs()
    other = inputs | {"token_ids": np.where(np.arange(LENGTH) > 0, 4, inputs["token_ids"]).astype(np.int32)}

    def run(rate, inputs):
        model.sampling_rate.assign(rate)
        model.seed_generator.state.assign(np.array([0, 1], np.uint32))
        return np.asarray(model(inputs, training=True))

    np.testing.assert_array_equal(run(1, inputs), run(1, other))  # the caption's words are ignored
    assert np.abs(run(0, inputs) - run(0, other))[:, 1:].max() > 0.1
    # A model that always samples one word gets the start token and then that word.
    model.output_layer.bias.assign(np.where(np.arange(VOCABULARY) == 9, 1e3, 0.0))
    repeated = inputs | {"token_ids": np.array([[START, 9, 9, 9, 9]] * 3, np.int32)}
    np.testing.assert_allclose(run(1, inputs), run(0, repeated), atol=1e-3)


def test_words_are_sampled_with_their_probabilities(experiments):
    model = experiments.show_tell.ShowTell(4, CHANNELS, width=6)
    probabilities = np.array([0.1, 0.2, 0.3, 0.4])
    model.output_layer.kernel.assign(np.zeros((6, 4)))
    model.output_layer.bias.assign(np.log(probabilities))
    uniforms = (np.arange(1000, dtype=np.float32) + 0.5) / 1000
    words = np.asarray(model._sample(np.zeros((1000, 6), np.float32), uniforms))
    np.testing.assert_allclose(np.bincount(words, minlength=4) / 1000, probabilities, atol=0.002)


def test_sampling_rate_rises_linearly(experiments):
    model = experiments.show_tell.ShowTell(VOCABULARY, CHANNELS, width=6)
    callback, rates = experiments.show_tell.LinearSampling(0.3, 4), []
    callback.set_model(model)
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        rates.append(float(model.sampling_rate))
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3], atol=1e-6)


@pytest.mark.parametrize("seed", [None, 3])
def test_every_epoch_has_every_caption_once_with_its_image(experiments, seed):
    rows = [[START, *([4 + index] * (1 + index % 5)), END] for index in range(9)]
    rows[2][1] = UNK
    tokens = TokenLists(np.concatenate(rows).astype(np.int32), np.cumsum([0, *map(len, rows)]))
    images = [f"{index // 2}.png" for index in range(9)]
    features = {f"{index}.png": np.full(3, index, np.float32) for index in range(5)}
    batches = experiments.recurrent.CaptionRows(pack_captions(images, tokens), features, 2, seed)
    for _ in range(2):
        captions = []
        for batch in range(len(batches)):
            inputs, labels, weights = batches[batch]
            for row in range(len(labels)):
                size = np.count_nonzero(labels[row])
                caption = [*inputs["token_ids"][row, :size].tolist(), int(labels[row, size - 1])]
                captions.append((int(inputs["features"][row, 0]), caption))
                np.testing.assert_array_equal(weights[row], (labels[row] != 0) & (labels[row] != UNK))
        assert sorted(captions) == sorted((index // 2, row) for index, row in enumerate(rows))
        batches.on_epoch_end()


@pytest.fixture(scope="module")
def arguments(tmp_path_factory, backbone_config):
    """The options of a run on a folder with the layout of Flickr8k, whose images have one color each."""
    folder = tmp_path_factory.mktemp("colors")
    (folder / "images").mkdir()
    lines, splits = [], {"train": [], "val": []}
    for index in range(24):
        word, color = list(COLORS.items())[index % 4]
        noise = np.random.default_rng(index).normal(0, 12, (32, 32, 3))
        Image.fromarray(np.clip(color + noise, 0, 255).astype(np.uint8)).save(folder / "images" / f"{index}.jpg")
        lines.append(f"{index}.jpg#enc#0 a picture that is {word}")
        splits["val" if index >= 16 else "train"].append(f"{index}")
    (folder / "flickr8kenc.caption.txt").write_text("\n".join(lines))
    for split, names in splits.items():
        (folder / f"flickr8k{split}.txt").write_text("\n".join(names))
    return Namespace(
        data=folder, workdir=folder / "run", language="en", backbone_weights=backbone_config.weights, cache=None,
        epochs=40, patience=40, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["merge", "show and tell"])
@pytest.mark.slow
def test_small_corpus_is_learned_from_images_to_captions(experiments, arguments, backbone_config, kind):
    data, _ = experiments.recurrent.prepare(arguments, backbone_config)
    if kind == "merge":
        model = experiments.merge_lstm.MergeCaptioner(data.tokenizer.vocabulary_size, data.channels, 32)
    else:
        model = experiments.show_tell.ShowTell(data.tokenizer.vocabulary_size, data.channels, 32)
    history = experiments.recurrent.fit(model, data, keras.optimizers.Adam(0.02), arguments)
    captions = experiments.recurrent.caption_all(model, data, list(data.references), 3, batch_size=5)
    assert min(history.history["val_token_loss"]) < 0.3
    assert len(captions) == 8
    assert captions == {name: caption for name, [caption] in data.references.items()}
