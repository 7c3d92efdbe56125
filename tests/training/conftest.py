"""A corpus of one color per image, and the settings of a small run on it."""

import pytest
from small_runs import DEFAULTS, write_colors

from caption_tx.config import Config, CorpusConfig, ModelConfig, TextConfig, TrainingConfig


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Images of one color each, with two captions."""
    return write_colors(tmp_path_factory.mktemp("corpus"), lambda word: (f"一张{word}的图片", f"整个画面都是{word}的"))


@pytest.fixture(scope="module")
def make_config(corpus, backbone_config, tmp_path_factory):
    """Makes the settings of a small run; all runs share one feature cache."""
    cache = tmp_path_factory.mktemp("features")

    def make(source=None, **training):
        return Config(
            CorpusConfig((str(source or corpus / "captions.tsv"),), images=str(corpus)),
            TextConfig(min_frequency=1),
            backbone_config,
            ModelConfig(32, 48, 1, 2, 12, 0.0, 0.0, 0.0),
            TrainingConfig(**(DEFAULTS | {"cache": str(cache)} | training)),
        )

    return make
