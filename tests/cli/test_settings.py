"""Parsed arguments to settings."""

import pytest

from caption_tx.cli.parser import make_parser
from caption_tx.cli.settings import parse_shard, resolve_config, search_overrides, tuning_config
from caption_tx.config import Config, TuningConfig
from caption_tx.errors import ConfigError


@pytest.fixture
def resolve():
    """The Config of a `train` command line."""

    def resolve(*arguments):
        return resolve_config(make_parser().parse_args(["train", "--workdir", "w", *arguments]))

    return resolve


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/x", "/", "-1/2", "1/2/3"])
def test_parse_shard(text):
    with pytest.raises(ConfigError, match=r"--shard must be I/N with I from 1 to N"):
        parse_shard(text)
    assert parse_shard("2/8") == (1, 8)


def test_options_override_set_overrides_file_overrides_defaults(resolve, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("[training]\nepochs = 1\nbatch_size = 2\nseed = 3\n[model]\nnum_layers = 4\n", encoding="utf-8")
    assignments = ["--set", "training.batch_size=5", "--set", "training.seed=6", "--set", "text.script=simplified"]
    config = resolve("a.csv", "--config", str(path), *assignments, "--seed", "7")
    assert config.corpus.sources == ("a.csv",)
    training = config.training.resolved()
    assert (training.epochs, training.batch_size, training.seed, training.patience) == (1, 5, 7, 3)
    assert (config.model.num_layers, config.text.script) == (4, "simplified")


def test_every_kind_of_option(resolve):
    options = ["--nfkc", "--uncached", "--flips", "--crops", "2", "--stage-epochs", "1,2", "--leave-out", "html, url"]
    options += ["--sample-image", "a.jpg", "--sample-image", "b.jpg", "--learning-rate", "1e-3", "--backbone", "VGG16"]
    config = resolve(*options, "a.csv", "b.csv:stage=2")
    assert config.corpus.sources == ("a.csv", "b.csv:stage=2")
    assert (config.corpus.leave_out, config.text.nfkc, config.backbone.name) == (("html", "url"), True, "VGG16")
    training = config.training
    assert (training.cached, training.flips, training.crops, training.stage_epochs) == (False, True, 2, (1, 2))
    assert (training.sample_images, training.learning_rate) == (("a.jpg", "b.jpg"), 1e-3)


def test_no_options_are_the_defaults(resolve):
    assert resolve("a.csv", "--set", "corpus.sources=[]", "--set", "corpus.images=''").training == Config().training
    parse = make_parser().parse_args
    assert search_overrides(parse(["caption", "a.jpg"])) == {}
    assert tuning_config(parse(["tune", "r", "--workdir", "w"])) == TuningConfig()


def test_decoding_and_tuning_options():
    parse = make_parser().parse_args
    options = search_overrides(parse(["explain", "a.jpg", "--beam-width", "4", "--suppress-words", "狗，猫,车"]))
    assert options == {"beam_width": 4, "suppress_words": ["狗", "猫", "车"]}
    with pytest.raises(ConfigError, match="top_k must be at least 1"):
        search_overrides(parse(["caption", "a.jpg", "--top-k", "0"]))
    with pytest.raises(ConfigError, match="beam_width above 1 and a temperature above 0 are incompatible"):
        search_overrides(parse(["caption", "a.jpg", "--beam-width", "2", "--temperature", "1"]))
    assert search_overrides(parse(["caption", "a.jpg", "--n-best", "3"])) == {"n_best": 3}  # of the bundle's beam
    options = ["tune", "r", "--workdir", "w", "--samples", "7", "--temperature", "0.7"]
    assert tuning_config(parse(options)) == TuningConfig(samples=7, temperature=0.7)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epochs", "--set requires KEY=VALUE, got 'training.epochs'."),
        ("training.epoch=3", "Unknown setting 'training.epoch'. Did you mean 'training.epochs'?"),
        ("layers=3", "Unknown setting 'layers'. Did you mean 'model.num_layers'?"),
        ("batch_size=3", "Unknown setting 'batch_size'. Did you mean 'training.batch_size'?"),
        ("training.epochs=many", "training.epochs must be of type int, got 'many'."),
        ("qqq=1", "Unknown setting 'qqq'. Known: corpus.sources, "),
    ],
)
def test_error_of_set_suggests_closest_setting(resolve, assignment, message):
    with pytest.raises(ConfigError) as caught:
        resolve("a.csv", "--set", assignment)
    assert str(caught.value).startswith(message)


def test_error_without_source(resolve):
    with pytest.raises(ConfigError, match="No caption source; name a caption file"):
        resolve()
