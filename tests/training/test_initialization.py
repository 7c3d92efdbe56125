"""What a run takes from a bundle: settings, the rows of shared and composed words, all other weights."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from caption_tx.bundle import Bundle
from caption_tx.config import BackboneConfig, Config, DecodingOptions, ModelConfig, TextConfig, TrainingConfig
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import BundleError, ConfigError
from caption_tx.training.initialization import (
    adopt_settings,
    compose,
    copy_captioner,
    describe_settings,
    find_initial_rows,
    inherited_search,
    load_initial_bundle,
)

WORDS = ["足球", "场", "运动", "员", "红色", "裙子", "T恤", "car", "pet"]
VOCABULARY = [*SPECIAL_TOKENS, *WORDS]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("足球场", ["足球", "场"]),
        ("运动员们", ["运动", "员"]),
        ("白T恤衫", ["T恤"]),
        ("红色裙子", ["红色", "裙子"]),
        ("老大爷", []),
        ("carpet", []),
        ("pet car", ["pet", "car"]),
        ("car-pet", ["car", "pet"]),
        ("[PAD]场", ["场"]),
        ("场", ["场"]),
    ],
)
def test_words_are_composed_of_known_words(word, parts):
    assert compose(word, {*VOCABULARY, "足", "球"}) == parts


def test_few_long_words_are_preferred_to_many_short_ones():
    assert compose("南京市长江大桥", {"南京", "南京市", "市长", "长江", "江", "大桥", "大", "桥"}) == [
        "南京市",
        "长江",
        "大桥",
    ]


def test_the_summary_counts_words_and_names_examples():
    start = find_initial_rows([*SPECIAL_TOKENS, "裙子", "足球场", "老大爷"], VOCABULARY)
    assert start.shared.tolist() == [True] * 5 + [False] * 2
    assert start.summary == (
        "1 of 3 words are shared with the bundle and start from its rows, 1 from the words they are composed of "
        "(足球场 = 足球 + 场), 1 from the mean of all words."
    )


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def bundle(request, make_captioner):
    """A bundle that tests do not change."""
    captioner = make_captioner(
        seed=1, num_layers=2, vocabulary_size=len(VOCABULARY), tie_embeddings=request.param, dropout=0.1
    )
    random = np.random.default_rng(0)
    for variable in captioner.weights:
        variable.assign(random.normal(0, 0.1, variable.shape))
    return Bundle(captioner, Tokenizer(VOCABULARY, "zh"), TextConfig(), BackboneConfig("MobileNet", 0.25), {})


def copy(bundle, vocabulary, lines=None, **changes):
    settings = bundle.captioner.settings
    config = ModelConfig(max_length=settings.max_length, dropout=0.0, attention_dropout=0.0, feature_dropout=0.0)
    log = str if lines is None else lines.append
    return copy_captioner(bundle, vocabulary, dataclasses.replace(config, **changes), "float32", log)


def test_a_vocabulary_in_another_order_gives_the_same_logits(bundle):
    random = np.random.default_rng(2)
    order = np.array([0, 1, 2, 3, *random.permutation(np.arange(4, len(VOCABULARY)))])
    captioner, old = copy(bundle, [VOCABULARY[index] for index in order]), bundle.captioner
    captioner.token_output.log_prior.assign(np.asarray(old.token_output.log_prior)[order])
    features = random.normal(size=(2, *old.settings.feature_shape)).astype(np.float32)
    tokens = random.integers(0, len(VOCABULARY), (2, 7))
    inputs = {"features": features, "positions": np.tile(np.arange(7), (2, 1)), "segment_ids": np.ones((2, 7), int)}
    expected = np.asarray(old(inputs | {"token_ids": order[tokens]}))[..., order]
    np.testing.assert_allclose(np.asarray(captioner(inputs | {"token_ids": tokens})), expected, atol=1e-4)


def test_new_words_start_from_the_words_they_are_composed_of_or_from_the_mean(bundle):
    captioner, old = copy(bundle, [*SPECIAL_TOKENS, "老大爷", "足球场", "裙子"]), bundle.captioner
    weights = [(captioner.embedding.tokens, old.embedding.tokens), (captioner.token_output.bias, old.token_output.bias)]
    if not old.tie_embeddings:
        weights.append((captioner.token_output.kernel, old.token_output.kernel))
    for new, known in ((np.asarray(new), np.asarray(known)) for new, known in weights):
        np.testing.assert_allclose(new[4], known[4:].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(new[5], (known[4] + known[5]) / 2, rtol=1e-6)
        np.testing.assert_array_equal(new[6], known[VOCABULARY.index("裙子")])
        np.testing.assert_array_equal(new[:4], known[:4])


def test_positions_are_extended_from_the_last_one_or_cut(bundle):
    old, lines = np.asarray(bundle.captioner.embedding.positions), []
    longer = np.asarray(copy(bundle, VOCABULARY, lines, max_length=len(old) + 3).embedding.positions)
    np.testing.assert_array_equal(longer[: len(old)], old)
    np.testing.assert_array_equal(longer[len(old) :], np.tile(old[-1], (3, 1)))
    assert lines[0].endswith("All other weights are copied; 3 positions are added for longer captions.")
    shorter = np.asarray(copy(bundle, VOCABULARY, max_length=len(old) - 1).embedding.positions)
    np.testing.assert_array_equal(shorter, old[:-1])


def test_dropout_is_that_of_the_run(bundle):
    assert copy(bundle, VOCABULARY, dropout=0.25).settings.dropout == 0.25


def test_frozen_word_vectors_stay_frozen(make_captioner):
    captioner = make_captioner(vocabulary_size=len(VOCABULARY), embedding_dim=3, freeze_embeddings=True)
    vectors = np.arange(3.0 * len(VOCABULARY)).reshape(-1, 3)
    captioner.embedding.assign_vectors(vectors, np.arange(len(VOCABULARY)) % 2 == 0)
    bundle = Bundle(captioner, Tokenizer(VOCABULARY, "zh"), TextConfig(), BackboneConfig(), {})
    new = copy(bundle, [*SPECIAL_TOKENS, "红色", "足球", "红色裙子"])
    assert np.asarray(new.embedding.frozen).tolist() == [1, 0, 1, 0, 1, 1, 0]
    np.testing.assert_array_equal(np.asarray(new.embedding.scale), np.asarray(captioner.embedding.scale))


def adopted(bundle, model=None, backbone=None, **text):
    training = TrainingConfig(init="runs/old")
    config = Config(text=TextConfig(**text), model=model or ModelConfig(), backbone=backbone or BackboneConfig())
    return adopt_settings(dataclasses.replace(config, training=training), bundle)


def test_default_sizes_and_backbone_become_those_of_the_bundle(bundle):
    settings, config = bundle.captioner.settings, adopted(bundle, ModelConfig(dropout=0.4))
    for name in ("hidden_dim", "intermediate_dim", "num_layers", "num_heads", "norm_order", "tie_embeddings"):
        assert getattr(config.model, name) == getattr(settings, name)
    assert (config.model.dropout, config.model.max_length) == (0.4, max(40, settings.max_length))
    assert config.backbone == bundle.backbone
    assert adopted(bundle, config.model, config.backbone) == config  # a resumed run has them in its settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ModelConfig(num_layers=6)}, r"model\.num_layers is 6, but the bundle runs/old was trained with \d"),
        (
            {"backbone": BackboneConfig("ResNet50")},
            r"backbone\.name is 'ResNet50', but the bundle runs/old was trained with 'MobileNet'; leave the",
        ),
        ({"backbone": BackboneConfig(alpha=0.5)}, r"backbone\.alpha is 0\.5"),
        ({"backbone": BackboneConfig(image_size=96)}, r"backbone\.image_size is 96"),
        ({"word_vectors": "v.txt"}, r"text\.word_vectors .*; use one of them"),
    ],
)
def test_other_sizes_and_backbones_are_rejected_by_name(bundle, changes, message):
    with pytest.raises(ConfigError, match=message):
        adopted(bundle, **changes)


def test_the_log_names_captions_that_are_read_differently(bundle):
    config = dataclasses.replace(adopted(bundle, language="en", nfkc=True), text=TextConfig("en", nfkc=True))
    lines = describe_settings(config, bundle)
    assert lines[0].startswith("Starting from the bundle runs/old: MobileNet, ")
    assert lines[1] == (
        "Captions are cut into words differently than in the bundle: text.language (zh in the bundle, en here), "
        "text.nfkc (False in the bundle, True here)."
    )
    assert len(describe_settings(adopted(bundle), bundle)) == 1


def test_the_search_of_the_bundle_is_inherited_without_its_words(bundle):
    search = DecodingOptions(beam_width=5, consensus=0.4, suppress_words=("裙子",))
    inherited = inherited_search(dataclasses.replace(bundle, decoding=search))
    assert inherited == DecodingOptions(beam_width=5, consensus=0.4)


def test_a_missing_bundle_and_the_bundle_of_the_workdir_are_rejected(tmp_path):
    assert load_initial_bundle(Config(), tmp_path) is None
    for init in (tmp_path, tmp_path / "bundle", tmp_path / "x" / ".." / "bundle"):
        with pytest.raises(ConfigError, match=r"names the bundle in .*, which this run would replace"):
            load_initial_bundle(Config(training=TrainingConfig(init=str(init))), tmp_path)
    with pytest.raises(BundleError, match="nothing"):
        load_initial_bundle(Config(training=TrainingConfig(init=str(tmp_path / "nothing"))), Path("run"))


@pytest.mark.parametrize("changes", [{"keep_words": True}, {"init": ""}])
def test_settings_that_make_no_sense_alone_are_rejected(changes):
    with pytest.raises(ConfigError, match=r"training\.(keep_words|init)"):
        TrainingConfig(**changes)
