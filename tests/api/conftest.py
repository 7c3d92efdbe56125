"""A small corpus of rendered scenes, and a run on it."""

import pandas as pd
import pytest

from caption_tx.data.scenes.corpus import write_scenes

_SMALL = {
    "language": "zh",
    "backbone": {"alpha": 0.25, "weights": "scenes", "image_size": 96},
    "min_frequency": 1,
    "hidden_dim": 16,
    "intermediate_dim": 16,
    "num_layers": 1,
    "num_heads": 2,
    "epochs": 2,
    "precision": "float32",
    "tensorboard": False,
    "sample_count": 1,
}
"""Settings with which training takes a few seconds."""


@pytest.fixture(scope="session")
def small():
    """Settings with which training takes a few seconds."""
    return _SMALL


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """24 rendered scenes: (captions as a DataFrame, folder of the images)."""
    files = write_scenes(tmp_path_factory.mktemp("scenes"), {"train": 14, "val": 5, "test": 5}, "zh")
    return pd.read_csv(files.captions, sep="\t"), files.images


@pytest.fixture(scope="session")
def run(scenes, tmp_path_factory):
    """A finished run."""
    import caption_tx

    frame, images = scenes
    lines = []
    run = caption_tx.train(frame, images, workdir=tmp_path_factory.mktemp("run") / "mine", log=lines.append, **_SMALL)
    assert any("parameters" in line for line in lines) and not any("Layer (type)" in line for line in lines)
    return run
