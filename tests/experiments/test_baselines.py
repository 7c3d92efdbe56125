"""The recurrent baselines: presets train, search is exact, and scheduled sampling feeds the model's own words."""

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
    """The modules `recurrent`, `merge_lstm` and `show_tell`, which import each other as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXPERIMENTS), *sys.path])
        yield Namespace(**{name: importlib.import_module(name) for name in ("recurrent", "merge_lstm", "show_tell")})


@pytest.fixture(params=["merge", "merge with four layers", "show and tell"])
def model(request, experiments):
    keras.utils.set_random_seed(0)
    if request.param == "show and tell":
        found = experiments.show_tell.ShowTell(VOCABULARY, CHANNELS, width=6)
    else:
        layers = 1 if request.param == "merge" else 4
        found = experiments.merge_lstm.MergeCaptioner(VOCABULARY, CHANNELS, 6, layers, embedding_dim=5)
    return spread(found)


def spread(model):
    """The model with weights large enough that inputs matter."""
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def batch(rows=3):
    random = np.random.default_rng(1)
    tokens = random.integers(4, VOCABULARY, (rows, LENGTH)).astype(np.int32)
    tokens[:, 0] = START
    return {"features": random.uniform(0, 3, (rows, CHANNELS)).astype(np.float32), "token_ids": tokens}


def test_steps_equal_the_full_pass(model):
    inputs = batch()
    logits, state = np.asarray(model(inputs)), model.begin(inputs["features"])
    for place in range(LENGTH):
        found, state = model.step(inputs["token_ids"][:, place], state)
        np.testing.assert_allclose(found, logits[:, place], atol=1e-4)
    assert np.abs(logits[0] - logits[1]).max() > 0.1


def log_probability(model, features, words):
    """Of one whole caption with its end mark; words that must not be generated are out of reach, not out of it."""
    tokens = np.array([[START, *words]], np.int32)
    logits = np.asarray(model({"features": features[None], "token_ids": tokens}), np.float64)[0]
    scores = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return sum(scores[place, word] for place, word in enumerate([*words, END]))


def test_a_wide_beam_finds_the_best_of_all_captions(model, experiments):
    inputs, words = batch(), range(4, 7)
    model.output_layer.bias.assign(np.where(np.isin(np.arange(VOCABULARY), [END, *words]), 0.0, -1e3))
    # Nine captions of two words, each with four ways on: a beam of 40 drops nothing.
    found = experiments.recurrent.search(model, inputs["features"], beam_width=40, longest=3)
    every = [caption for length in range(3) for caption in itertools.product(words, repeat=length)]
    for image, caption in enumerate(found):
        scores = {
            other: log_probability(model, inputs["features"][image], other) / (len(other) + 1) ** 0.7 for other in every
        }
        assert scores[tuple(caption)] == pytest.approx(max(scores.values()), abs=1e-4)


def test_a_beam_of_one_takes_the_likeliest_word_each_time(model, experiments):
    inputs = batch()
    for image, caption in enumerate(experiments.recurrent.search(model, inputs["features"], beam_width=1, longest=4)):
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
def test_presets_train_a_step_and_keep_their_vectors(experiments, name):
    preset = experiments.merge_lstm.PRESETS[name]
    vectors = np.random.default_rng(0).normal(0, 1, (VOCABULARY, preset.vectors)).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = experiments.merge_lstm.MergeCaptioner(
        VOCABULARY, CHANNELS, lstm_layers=preset.lstm_layers, embeddings=vectors if preset.vectors else None
    )
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(keras.optimizers.Adam(0.01), MaskedLoss(0.0))
    labels, weights = np.resize(np.arange(VOCABULARY), (3, LENGTH)), np.ones((3, LENGTH), np.float32)
    first = model.train_on_batch(batch(), labels, sample_weight=weights)
    assert first == pytest.approx(np.log(VOCABULARY), rel=0.3)
    assert all((np.asarray(weight) != old).any() for weight, old in zip(model.trainable_weights, before, strict=True))
    assert len(model.lstms) == (4 if name == "resnet50" else 1)
    if preset.vectors:
        np.testing.assert_array_equal(model.embedding.embeddings, vectors)


def test_scheduled_sampling_feeds_the_models_own_words(experiments):
    keras.utils.set_random_seed(0)
    model = spread(experiments.show_tell.ShowTell(VOCABULARY, CHANNELS, width=6, dropout=0.0))
    inputs = batch()
    other = inputs | {"token_ids": np.where(np.arange(LENGTH) > 0, 4, inputs["token_ids"]).astype(np.int32)}

    def run(share, given):
        model.own_share.assign(share)
        model.draws.state.assign(np.array([0, 1], np.uint32))
        return np.asarray(model(given, training=True))

    np.testing.assert_array_equal(run(1, inputs), run(1, other))  # the caption's words are never looked at
    assert np.abs(run(0, inputs) - run(0, other))[:, 1:].max() > 0.1
    # Made to say one word, it hears that word, and the start mark before it.
    model.output_layer.bias.assign(np.where(np.arange(VOCABULARY) == 9, 1e3, 0.0))
    said = inputs | {"token_ids": np.array([[START, 9, 9, 9, 9]] * 3, np.int32)}
    np.testing.assert_allclose(run(1, inputs), run(0, said), atol=1e-3)


def test_words_are_drawn_as_likely_as_they_are_held(experiments):
    model = experiments.show_tell.ShowTell(4, CHANNELS, width=6)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    model.output_layer.kernel.assign(np.zeros((6, 4)))
    model.output_layer.bias.assign(np.log(shares))
    draws = (np.arange(1000, dtype=np.float32) + 0.5) / 1000
    words = np.asarray(model._draw(np.zeros((1000, 6), np.float32), draws))
    np.testing.assert_allclose(np.bincount(words, minlength=4) / 1000, shares, atol=0.002)


def test_the_share_of_drawn_words_rises_in_a_line(experiments):
    model = experiments.show_tell.ShowTell(VOCABULARY, CHANNELS, width=6)
    callback, shares = experiments.show_tell.LinearSampling(0.3, 4), []
    callback.set_model(model)
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        shares.append(float(model.own_share))
    np.testing.assert_allclose(shares, [0, 0.1, 0.2, 0.3], atol=1e-6)


@pytest.mark.parametrize("seed", [None, 3])
def test_every_caption_comes_once_an_epoch_with_its_image(experiments, seed):
    rows = [[START, *([4 + number] * (1 + number % 5)), END] for number in range(9)]
    rows[2][1] = UNK
    tokens = TokenLists(np.concatenate(rows).astype(np.int32), np.cumsum([0, *map(len, rows)]))
    images = [f"{number // 2}.png" for number in range(9)]
    features = {f"{number}.png": np.full(3, number, np.float32) for number in range(5)}
    batches = experiments.recurrent.CaptionRows(pack_captions(images, tokens), features, 2, seed)
    for _ in range(2):
        found = []
        for place in range(len(batches)):
            inputs, labels, weights = batches[place]
            for row in range(len(labels)):
                size = np.count_nonzero(labels[row])
                caption = [*inputs["token_ids"][row, :size].tolist(), int(labels[row, size - 1])]
                found.append((int(inputs["features"][row, 0]), caption))
                np.testing.assert_array_equal(weights[row], (labels[row] != 0) & (labels[row] != UNK))
        assert sorted(found) == sorted((number // 2, row) for number, row in enumerate(rows))
        batches.on_epoch_end()


@pytest.fixture(scope="module")
def arguments(tmp_path_factory, backbone_config):
    """A folder laid out as Flickr8k is, with pictures of one color each, and the options of a run on it."""
    folder = tmp_path_factory.mktemp("colors")
    (folder / "images").mkdir()
    lines, splits = [], {"train": [], "val": []}
    for number in range(24):
        word, color = list(COLORS.items())[number % 4]
        noise = np.random.default_rng(number).normal(0, 12, (32, 32, 3))
        Image.fromarray(np.clip(color + noise, 0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.jpg")
        lines.append(f"{number}.jpg#enc#0 a picture that is {word}")
        splits["val" if number >= 16 else "train"].append(f"{number}")
    (folder / "flickr8kenc.caption.txt").write_text("\n".join(lines))
    for split, names in splits.items():
        (folder / f"flickr8k{split}.txt").write_text("\n".join(names))
    return Namespace(
        data=folder, workdir=folder / "run", language="en", backbone_weights=backbone_config.weights, cache=None,
        epochs=40, patience=40, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["merge", "show and tell"])
def test_a_small_corpus_is_learnt_from_pictures_to_captions(experiments, arguments, backbone_config, kind):
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
