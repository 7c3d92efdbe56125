"""Field metadata: bounds, choices, types, and every setting documented."""

import dataclasses
import math

import pytest

from caption_tx.config import (
    BackboneConfig,
    CorpusConfig,
    DecodingOptions,
    EvaluationOptions,
    ExplanationOptions,
    ModelConfig,
    Source,
    TextConfig,
    TrainingConfig,
    TuningConfig,
    load_config,
)
from caption_tx.config.fields import SEED, TEMPERATURE, Bounds, settings_of, suggestion
from caption_tx.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[corpus]\nval_fraction = 1.0", "corpus.val_fraction"),
        ("[corpus]\ntest_fraction = -0.1", "corpus.test_fraction"),
        ("[corpus]\nval_fraction = 0.5\ntest_fraction = 0.5", "corpus.val_fraction"),
        ("[text]\nlanguage = 'fr'", "text.language"),
        ("[text]\nmax_vocabulary_size = 4", "text.max_vocabulary_size"),
        ("[text]\nmin_frequency = 0", "text.min_frequency"),
        ("[backbone]\nname = ''", "backbone.name"),
        ("[backbone]\nstorage = 'int4'", "backbone.storage"),
        ("[model]\nfreeze_embeddings = true", "text.word_vectors"),
        ("[backbone]\nalpha = 0.0", "backbone.alpha"),
        ("[backbone]\nimage_size = 31", "backbone.image_size"),
        ("[model]\nhidden_dim = 0", "model.hidden_dim"),
        ("[model]\nhidden_dim = 30\nnum_heads = 4", "model.hidden_dim"),
        ("[model]\nintermediate_dim = 0", "model.intermediate_dim"),
        ("[model]\nnum_layers = 0", "model.num_layers"),
        ("[model]\nnum_heads = 0", "model.num_heads"),
        ("[model]\nmax_length = 1", "model.max_length"),
        ("[model]\ndropout = 1.0", "model.dropout"),
        ("[model]\nattention_dropout = nan", "model.attention_dropout"),
        ("[model]\nfeature_dropout = -0.1", "model.feature_dropout"),
        ("[model]\nnorm_order = 'both'", "model.norm_order"),
        ("[training]\nepochs = 0", "training.epochs"),
        ("[training]\nbatch_size = 0", "training.batch_size"),
        ("[training]\npatience = 0", "training.patience"),
        ("[training]\nscore_every = -1", "training.score_every"),
        ("[training]\nscore_images = 0", "training.score_images"),
        ("[training]\nscore_beam_width = 0", "training.score_beam_width"),
        ("[training]\nmonitor = 'meteor'", "training.monitor"),
        ("[training]\nmonitor = 'cider'", "training.score_every"),
        ("[training]\nmonitor = 'cider'\nscore_every = 4\npatience = 3", "training.score_every"),
        ("[training]\nlearning_rate = 0.0", "training.learning_rate"),
        ("[training]\nwarmup_epochs = -1", "training.warmup_epochs"),
        ("[training]\nlabel_smoothing = 1.0", "training.label_smoothing"),
        ("[training]\nclip_norm = 0.0", "training.clip_norm"),
        ("[training]\nsample_count = -1", "training.sample_count"),
        ("[training]\nsample_temperatures = [0.5, -1.0]", "training.sample_temperatures"),
    ],
)
def test_error_names_setting_out_of_range(tmp_path, text, name):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"\b{name}\b"):
        load_config(path)


CLASSES = [
    CorpusConfig, Source, TextConfig, BackboneConfig, ModelConfig, TrainingConfig, TuningConfig, DecodingOptions,
    EvaluationOptions, ExplanationOptions,
]  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_has_a_help_text_and_flags_are_unique(cls):
    settings = settings_of(cls)
    assert list(settings) == [item.name for item in dataclasses.fields(cls) if item.name not in ("decoding", "out")]
    for item in settings.values():
        assert len(item.help) > 5 and item.help[-1] != "." and "default" not in item.help, item.name
        assert item.flag is None or item.flag.startswith("--")
    flags = [item.flag for item in settings.values() if item.flag is not None]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize(
    ("bounds", "text", "inside", "outside"),
    [
        (Bounds(minimum=1), "at least 1", [1, 10**12], [0, 0.9, math.nan]),
        (Bounds(above=0), "above 0", [1e-9, math.inf], [0, -1, math.nan]),
        (Bounds(above=0, below=math.inf), "above 0 and finite", [1e-9, 1e300], [0, math.inf, math.nan]),
        (Bounds(minimum=0, below=1), "at least 0 and below 1", [0, 0.99], [1, -0.1]),
        (SEED, "at least 0 and below 2**31", [0, 2**31 - 1], [2**31, -1]),
        (TEMPERATURE, "0, or at least 0.0001 and at most 10000", [0, 1e-4, 1e4], [1e-5, -1, 10001, math.nan]),
    ],
)
def test_bounds(bounds, text, inside, outside):
    assert str(bounds) == text
    assert all(bounds.contain(value) for value in inside)
    assert not any(bounds.contain(value) for value in outside)


def test_setting_describes_its_field():
    settings = settings_of(TrainingConfig)
    epochs, temperatures = settings["stage_epochs"], settings["sample_temperatures"]
    assert (epochs.type, epochs.is_tuple, epochs.default) == (int, True, ())
    assert (temperatures.default_text, temperatures.flag) == ("0.0,0.5,1.0", None)
    script = settings_of(TextConfig)["script"]
    assert (script.type, script.is_tuple, script.default_text) == (str, False, "no conversion")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("beam", "Did you mean 'beam_width' or 'beam_groups'?"),
        ("epoch", "Did you mean 'epochs'?"),
        ("qqqqq", "Known: beam_width, beam_groups, epochs, n_best."),
        ("n", "Known: beam_width, beam_groups, epochs, n_best."),
    ],
)
def test_the_closest_name_is_suggested(name, expected):
    assert suggestion(name, ["beam_width", "beam_groups", "epochs", "n_best"]) == expected


def test_python_values_are_checked_like_files():
    assert TrainingConfig(stage_epochs=[1, 2], learning_rate=1).stage_epochs == (1, 2)
    with pytest.raises(ConfigError, match=r"text\.min_frequency must be of type int, got '4'"):
        TextConfig(min_frequency="4")
