"""Settings: TOML and back, and errors that name the setting."""

import dataclasses
import math

import pytest

from caption_tx.config import (
    FORMATS,
    BackboneConfig,
    Config,
    CorpusConfig,
    DecodingOptions,
    ModelConfig,
    Source,
    TextConfig,
    TrainingConfig,
    dump_config,
    from_dict,
    load_config,
    parse_source,
    to_dict,
)
from caption_tx.errors import CaptionTxError, ConfigError

OTHER = Config(
    CorpusConfig(("甲.tsv", "b.json"), "tsv", "图 片", ("url",), 0.125, 0.25, 7),
    TextConfig("en", True, "simplified", "words.txt", True, True, 101, 2, "glove.txt"),
    BackboneConfig("MobileNetV2", 0.25, "conv_pw_5_relu", 64, "w.h5", "float16"),
    ModelConfig(22, 17, 5, 2, 11, 0.1, 0.2, 0.0, {"pre": "post", "post": "pre"}[ModelConfig().norm_order], False, True),
    TrainingConfig(
        epochs=3, stage_epochs=(1, 1), mix_stages=True, batch_size=5,
        learning_rate=1e-3, warmup_epochs=0.5, label_smoothing=0.0, clip_norm=2.0,
        precision="mixed_bfloat16", accumulation_steps=2, patience=1,
        monitor="bleu4", score_every=1, score_images=7, score_beam_width=3,
        flips=True, crops=2, cached=False, cache="c", compression="none", tensorboard=False, sample_images=("一.jpg",),
        sample_count=0,
        sample_temperatures=(0.0, 0.7), seed=3,
    ),
)  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        (tmp_path / "recipe.toml").write_bytes(text.encode(encoding))
        return tmp_path / "recipe.toml"

    return write


def test_the_other_config_differs_from_the_default_in_every_setting():
    default, other = to_dict(Config()), to_dict(OTHER)
    same = [(room, name) for room in other for name in other[room] if default[room].get(name) == other[room][name]]
    assert same == []


@pytest.mark.parametrize("config", [Config(), OTHER], ids=["default", "other"])
def test_toml_round_trip(write, config):
    assert load_config(write(dump_config(config))) == config
    assert from_dict(Config, to_dict(config)) == config


def test_what_a_file_does_not_set_stays_as_in_the_base(write):
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
def test_unknown_setting_or_wrong_type_is_named(write, text, name):
    path = write(text)
    with pytest.raises(ConfigError, match=rf"\b{name}\b") as caught:
        load_config(path)
    assert str(path) in str(caught.value)


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
def test_setting_out_of_range_is_named(write, text, name):
    with pytest.raises(ConfigError, match=rf"\b{name}\b"):
        load_config(write(text))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"max_length": 0}, "max_length"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"temperature": float("nan")}, "temperature"),
        ({"length_penalty": -0.1}, "length_penalty"),
        ({"diversity_penalty": float("inf")}, "diversity_penalty"),
        ({"repetition_penalty": 0.5}, "repetition_penalty"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram"),
        ({"min_length": 0}, "min_length"),
        ({"beam_width": 0}, "beam_width"),
        ({"samples": 0}, "samples"),
        ({"n_best": 0}, "n_best"),
        ({"temperature": 1.0, "top_k": 0}, "top_k"),
        ({"temperature": 1.0, "top_p": 0.0}, "top_p"),
        ({"temperature": 1.0, "top_p": 1.5}, "top_p"),
        ({"temperature": 1.0, "top_p": 1e-7}, "top_p"),
        ({"temperature": 1.0, "top_k": 2**31}, "top_k"),
        ({"temperature": 9e-5}, "temperature must be 0 or in 1e-4 to 1e4, got 9e-05"),
        ({"temperature": 1.1e4}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"beam_width": 2, "beam_groups": 2, "diversity_penalty": 1.1e4}, "diversity_penalty"),
        ({"length_penalty": 10.5}, "length_penalty must be in 0 to 10, got 10.5"),
        ({"repetition_penalty": 1.1e4}, "repetition_penalty must be in 1 to 10000"),
        ({"suppress_words": "狗"}, "suppress_words must be a list, got '狗'"),
        ({"suppress_words": ("狗", 3)}, "suppress_words must be of type str, got 3"),
        ({"force_words": ("狗", " "), "beam_width": 2}, "force_words"),
        ({"beam_width": 2.5}, "beam_width must be of type int, got 2.5"),
        ({"beam_width": True}, "beam_width must be of type int, got True"),
        ({"min_length": "3"}, "min_length must be of type int, got '3'"),
        ({"max_length": 3.0}, "max_length must be of type int"),
        ({"seed": None}, "seed must be of type int, got None"),
        ({"temperature": "warm"}, "temperature must be of type float, got 'warm'"),
        ({"temperature": 1.0, "top_p": True}, "top_p must be of type float"),
        ({"prefix": 3}, "prefix must be of type str, got 3"),
        ({"prefix": None}, "prefix must be of type str"),
    ],
)
def test_decoding_option_out_of_range_is_named(options, name):
    with pytest.raises(ConfigError, match=name):
        DecodingOptions(**options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"beam_width": 2, "temperature": 1.0}, "A beam takes the likeliest"),
        ({"top_k": 5}, "at temperature 0 none are"),
        ({"top_p": 0.5}, "at temperature 0 none are"),
        ({"samples": 2}, "all samples would be the same"),
        ({"n_best": 2}, "more captions than are found"),
        ({"n_best": 3, "beam_width": 2}, "more captions than are found"),
        ({"n_best": 3, "samples": 2, "temperature": 1.0}, "more captions than are found"),
        ({"consensus": 0.3, "beam_width": 2}, "Two captions agree"),
        ({"consensus": 0.3}, "Two captions agree"),
        ({"consensus": -0.1, "beam_width": 4}, "consensus"),
        ({"beam_width": 4, "beam_groups": 3, "diversity_penalty": 1.0}, "must divide beam_width"),
        ({"beam_width": 4, "beam_groups": 2}, "need each other"),
        ({"beam_width": 4, "diversity_penalty": 1.0}, "need each other"),
        ({"force_words": ("狗",)}, "forced by a beam"),
        (
            {"force_words": ("狗",), "beam_width": 4, "beam_groups": 2, "diversity_penalty": 1.0},
            "leave out beam_groups",
        ),
        ({"force_words": ("狗", "狗"), "beam_width": 4}, "twice"),
        ({"force_words": ("狗",), "suppress_words": ("猫", "狗"), "beam_width": 4}, "both forced and suppressed"),
        ({"min_length": 5, "max_length": 4}, "above max_length"),
        ({"force_words": ("狗", "猫"), "beam_width": 4, "max_length": 1}, "do not fit"),
    ],
)
def test_decoding_options_that_mean_nothing_together_are_refused_with_the_reason(options, reason):
    with pytest.raises(ConfigError, match=reason):
        DecodingOptions(**options)


def test_decoding_options_at_the_ends_of_their_ranges_are_taken():
    for temperature in (0, 1e-4, 1e4):
        assert DecodingOptions(temperature).temperature == temperature
    DecodingOptions(1.0, top_k=2**31 - 1, top_p=1e-6, length_penalty=10, repetition_penalty=1e4, no_repeat_ngram=50)
    DecodingOptions(beam_width=2, beam_groups=2, diversity_penalty=1e4, length_penalty=0)


def test_lists_of_words_are_as_good_as_tuples():
    options = DecodingOptions(suppress_words=["狗"], force_words=["猫"], beam_width=2)
    assert options == DecodingOptions(suppress_words=("狗",), force_words=("猫",), beam_width=2)
    assert hash(options) == hash(DecodingOptions(suppress_words=("狗",), force_words=("猫",), beam_width=2))


@pytest.mark.parametrize("value", [1e-5, math.inf, -1.0])
def test_samples_while_training_have_temperatures_that_a_search_takes(value):
    with pytest.raises(ConfigError, match=r"training\.sample_temperatures must be 0 or in 1e-4 to 1e4"):
        TrainingConfig(sample_temperatures=(1.0, value))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match=str(tmp_path)):
        load_config(tmp_path)


@pytest.mark.parametrize("data", [("[model", "utf-8"), ("epochs: 3", "utf-8"), ("[模型]", "utf-16")])
def test_what_is_no_toml_is_named(write, data):
    path = write(*data)
    with pytest.raises(ConfigError, match=str(path)):
        load_config(path)


def test_every_error_is_one_the_command_line_catches():
    assert issubclass(ConfigError, CaptionTxError)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("a.txt", Source("a.txt")),
        (r"C:\图\a.txt", Source(r"C:\图\a.txt")),
        ("s3://b/x.csv:stage=2,weight=0.5", Source("s3://b/x.csv", weight=0.5, stage=2)),
        ("a:b:images=train.tsv,split=val,origin=human", Source("a:b", split="val", origin="human", images="train.tsv")),
        ("a.csv:encoding=gb18030,format=csv", Source("a.csv", "csv", "gb18030")),
    ],
)
def test_sources_as_on_the_command_line(text, source):
    assert parse_source(text) == source
    assert CorpusConfig(sources=(text,)).sources == (text,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "source must be a path"),
        ("a:weight=much", "weight of a must be a number, got 'much'"),
        ("a:weight=0", r"weight of a must be a number above 0, got 0\.0"),
        ("a:weight=nan", "weight of a must be a number above 0"),
        ("a:stage=0", "stage of a must be in 1 to 100"),
        ("a.txt:wieght=0.5", "Unknown key 'wieght' behind source a.txt; known: format, encoding"),
        ("a:split=best", "split of a must be one of train, val, test"),
        ("a:origin=robot", "origin of a must be one of human, machine"),
    ],
)
def test_bad_sources_are_named(text, message):
    with pytest.raises(ConfigError, match=message):
        CorpusConfig(sources=(text,))


def test_formats_are_those_that_are_read():
    from caption_tx.data.corpus import formats as layouts

    assert tuple(layouts.FORMATS) == FORMATS
    with pytest.raises(ConfigError, match=r"corpus\.leave_out must be of no_letters, .*got 'boring'"):
        CorpusConfig(leave_out=("url", "boring"))
    with pytest.raises(ConfigError, match=r"corpus\.format must be one of parquet, .*got 'word'"):
        CorpusConfig(format="word")


def test_the_last_stage_keeps_an_epoch():
    with pytest.raises(ConfigError, match=r"stage_epochs must be fewer than training\.epochs \(5\)"):
        TrainingConfig(epochs=5, stage_epochs=(3, 2))
