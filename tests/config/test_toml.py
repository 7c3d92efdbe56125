"""Settings to TOML and back, and errors about files and names of settings."""

import dataclasses
import re

import pytest

from caption_tx.config import (
    BackboneConfig,
    BoxesConfig,
    Config,
    CorpusConfig,
    ModelConfig,
    TextConfig,
    TrainingConfig,
    dump_config,
    from_dict,
    load_config,
    to_dict,
)
from caption_tx.errors import CaptionTxError, ConfigError

OTHER = Config(
    CorpusConfig(("甲.tsv", "b.json"), "tsv", "图 片", ("url",), 0.125, 0.25, 7, ("字幕",), "图片", ".cap", True),
    TextConfig("en", True, "simplified", "words.txt", True, True, 101, 2, "glove.txt"),
    BackboneConfig("MobileNetV2", 0.25, "conv_pw_5_relu", 64, "w.h5", "float16"),
    ModelConfig(22, 17, 5, 2, 11, 0.1, 0.2, 0.0, {"pre": "post", "post": "pre"}[ModelConfig().norm_order], False, True),
    TrainingConfig(
        init="b", keep_words=True, epochs=3, stage_epochs=(1, 1), schedule="run", mix_stages=True, batch_size=5,
        learning_rate=1e-3, warmup_epochs=0.5, label_smoothing=0.0, clip_norm=2.0,
        precision="mixed_bfloat16", accumulation_steps=2, patience=1,
        monitor="bleu4", score_every=1, score_images=7, score_beam_width=3,
        flips=True, crops=2, cached=False, cache="c", compression="none", tensorboard=False, sample_images=("一.jpg",),
        sample_count=0,
        sample_temperatures=(0.0, 0.7), seed=3,
    ),
    BoxesConfig(("框.jsonl",), "词.tsv", 0.5, (1, 4), 1, True, 2),
)  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes recipe.toml and returns its path."""

    def write(text, encoding="utf-8"):
        (tmp_path / "recipe.toml").write_bytes(text.encode(encoding))
        return tmp_path / "recipe.toml"

    return write


def test_other_config_differs_from_default_in_every_setting():
    default, other = to_dict(Config()), to_dict(OTHER)
    same = [(table, name) for table in other for name in other[table] if default[table].get(name) == other[table][name]]
    assert same == []


@pytest.mark.parametrize("config", [Config(), OTHER], ids=["default", "other"])
def test_toml_round_trip(write, config):
    assert load_config(write(dump_config(config))) == config
    assert from_dict(Config, to_dict(config)) == config


def test_every_setting_in_toml_follows_its_help_text():
    lines = dump_config(Config()).splitlines()
    for number, line in enumerate(lines):
        if re.match(r"(# )?\w+ = ", line):
            assert lines[number - 1].startswith("# ") and " = " not in lines[number - 1], line
    text = dump_config(Config())
    assert "# Peak learning rate. Default: 0.0005.\nlearning_rate = 0.0005\n" in text
    assert 'Default: no conversion.\n# script = "TEXT"\n' in text


def test_commented_settings_can_be_uncommented(write):
    text = (
        dump_config(Config()).replace('# cache = "DIR"', 'cache = "DIR"').replace("# image_size = N", "image_size = 64")
    )
    config = load_config(write(text))
    assert (config.training.cache, config.backbone.image_size) == ("DIR", 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modell": {}}, "Unknown setting 'modell'. Did you mean 'model'?"),
        ({"model": {"layers": 3}}, "Unknown setting 'model.layers'. Did you mean 'num_layers'?"),
        ({"zzz": {}}, "Unknown setting 'zzz'. Known: corpus, text, backbone, model, training, boxes."),
    ],
)
def test_error_suggests_closest_setting(values, message):
    with pytest.raises(ConfigError) as caught:
        from_dict(Config, values)
    assert str(caught.value) == message


def test_settings_missing_from_file_are_those_of_base(write):
    path = write("[model]\nnum_layers = 7\n[training]\nlearning_rate = 1\nsample_temperatures = [1]\n")
    config = load_config(path, OTHER)
    assert config.model == dataclasses.replace(OTHER.model, num_layers=7)
    assert config.training.learning_rate == 1.0
    assert isinstance(config.training.learning_rate, float)
    assert config.training.sample_temperatures == (1.0,)
    assert config.text == OTHER.text
    assert load_config(write("")) == Config()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[modell]", "modell"),
        ("[model]\nlayers = 3", "model.layers"),
        ("model = 3", "model"),
        ("[model]\nnum_layers = 'three'", "model.num_layers"),
        ("[model]\nnum_layers = 3.0", "model.num_layers"),
        ("[model]\nnum_layers = true", "model.num_layers"),
        ("[model]\ndropout = true", "model.dropout"),
        ("[model]\ntie_embeddings = 1", "model.tie_embeddings"),
        ("[corpus]\nsources = 'x.tsv'", "corpus.sources"),
        ("[corpus]\nsources = [1]", "corpus.sources"),
        ("[training]\nsample_temperatures = ['hot']", "training.sample_temperatures"),
        ("[text]\nuser_dictionary = 3", "text.user_dictionary"),
    ],
)
def test_error_names_file_and_setting_of_unknown_name_or_wrong_type(write, text, name):
    path = write(text)
    with pytest.raises(ConfigError, match=rf"\b{name}\b") as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_error_names_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match=str(tmp_path)):
        load_config(tmp_path)


@pytest.mark.parametrize("data", [("[model", "utf-8"), ("epochs: 3", "utf-8"), ("[模型]", "utf-16")])
def test_error_names_file_that_is_not_toml(write, data):
    path = write(*data)
    with pytest.raises(ConfigError, match=str(path)):
        load_config(path)


def test_config_error_is_caught_by_command_line():
    assert issubclass(ConfigError, CaptionTxError)
