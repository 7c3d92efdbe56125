"""Keywords, configs and captions as the functions of `caption_tx` take them."""

from dataclasses import fields

import numpy as np
import pytest

from caption_tx.api.settings import SECTIONS, resolve_request
from caption_tx.config import (
    Config,
    CorpusConfig,
    DecodingOptions,
    EvaluationOptions,
    ModelConfig,
    Source,
    TextConfig,
    TrainingConfig,
    parse_source,
    split_keywords,
)
from caption_tx.config.fields import settings_of
from caption_tx.errors import ConfigError

CAPTIONS = {"a.jpg": "a cat"}


def resolve(captions=CAPTIONS, images=None, config=None, **keywords):
    return resolve_request(captions, images, config, keywords).config


@pytest.mark.parametrize("sections", [SECTIONS, {"evaluation": EvaluationOptions, "decoding": DecodingOptions} | {
    name: SECTIONS[name] for name in ("corpus", "text")
}], ids=["training", "evaluation"])  # fmt: skip
def test_every_setting_is_a_keyword_of_its_own(sections):
    for section, cls in sections.items():
        for name, item in settings_of(cls).items():
            if name == "sources":  # of captions, which are an argument, and of boxes
                continue
            assert split_keywords({name: item.default}, sections)[section] == {name: item.default}


def test_keywords_replace_settings_of_a_config(tmp_path):
    config = Config(CorpusConfig(images="photos"), TextConfig("en"), training=TrainingConfig(epochs=9, patience=2))
    resolved = resolve(config=config, epochs=np.int64(3), num_layers=2, cache=tmp_path)
    assert (resolved.training.epochs, resolved.training.patience, resolved.model.num_layers) == (3, 2, 2)
    assert (resolved.text.language, resolved.corpus.images) == ("en", "photos")
    assert resolved.training.cache == str(tmp_path)
    assert resolve(images=tmp_path).corpus.images == str(tmp_path)


def test_sections_are_dictionaries_or_instances():
    resolved = resolve(backbone={"name": "ResNet50"}, model=ModelConfig(num_layers=7), text={"language": "en"})
    assert resolve(boxes="boxes.json").boxes.sources == ("boxes.json",)
    assert resolve(boxes={"sources": ["a.json"]}).boxes.sources == ("a.json",)
    assert (resolved.backbone.name, resolved.model.num_layers, resolved.text.language) == ("ResNet50", 7, "en")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"epoch": 3}, "Unknown setting 'epoch'. Did you mean 'epochs'?"),
        ({"layers": 3}, "Unknown setting 'layers'. Did you mean 'num_layers'?"),
        ({"learning_rat": 3}, "Did you mean 'learning_rate'?"),
        ({"sample_image": "a.jpg"}, "Did you mean 'sample_images'?"),
        ({"model": {"layers": 3}}, "Unknown setting 'model.layers'"),
        ({"backbone": "ResNet50"}, "backbone must be a dictionary of settings, such as backbone={'name': ..}"),
        ({"epochs": "many"}, "training.epochs must be of type int, got 'many'"),
        ({"epochs": 3, "training": {"epochs": 4}}, "'epochs' is given twice"),
    ],
)
def test_wrong_keywords_are_explained(keywords, message):
    with pytest.raises(ConfigError) as caught:
        resolve(**keywords)
    assert message in str(caught.value)


def test_captions_are_required():
    with pytest.raises(ConfigError, match="No captions; pass"):
        resolve(None)
    with pytest.raises(ConfigError, match="pass settings as config="):
        resolve(Config())
    assert resolve(None, config=Config(CorpusConfig(("a.csv",)))).corpus.sources == ("a.csv",)


def test_sources_keep_their_options():
    sources = [Source("a.csv", split="val", weight=0.5), "b.csv:stage=2"]
    written = resolve(sources).corpus.sources
    assert written == ("a.csv:split=val,weight=0.5", "b.csv:stage=2")
    assert parse_source(written[0]) == sources[0]
    assert resolve([CAPTIONS, "b.csv"]).corpus.sources == ("Mapping", "b.csv")


def test_settings_of_several_sections_are_ambiguous():
    sections = {"one": TrainingConfig, "two": DecodingOptions}
    both = [item.name for item in fields(TrainingConfig) if item.name in settings_of(DecodingOptions)]
    assert both == ["seed"]
    with pytest.raises(ConfigError, match=r"'seed' is a setting of several sections; write one=\{'seed'.* or two="):
        split_keywords({"seed": 1}, sections)
    assert split_keywords({"two": {"seed": 1}}, sections) == {"one": {}, "two": {"seed": 1}}
