"""A corpus of one color per image, and the settings of a small run on it."""

import numpy as np
import pytest
from PIL import Image
from small_runs import COLORS, DEFAULTS

from caption_tx.config import Config, CorpusConfig, ModelConfig, TextConfig, TrainingConfig


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """40 images of one color each (with some noise), two captions per image; 8 of them for validation."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    lines = ["image\tcaption\tsplit"]
    for index in range(40):
        word, color = list(COLORS.items())[index % 4]
        pixels = np.clip(np.array(color) + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        split = "val" if index >= 32 else "train"
        lines += [f"{index}.png\t一张{word}的图片\t{split}", f"{index}.png\t整个画面都是{word}的\t{split}"]
    (folder / "captions.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


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
