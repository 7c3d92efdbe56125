"""Choosing the default search of a bundle on the validation split of its run."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from caption_tx.bundle import load_bundle
from caption_tx.cli import main
from caption_tx.config import Config, CorpusConfig, DecodingOptions, ModelConfig, TextConfig, TrainingConfig
from caption_tx.errors import BundleError, ConfigError
from caption_tx.training import search_choice
from caption_tx.training.fit import train
from caption_tx.training.search_choice import choose_search

pytestmark = pytest.mark.slow  # a whole run


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """Each search takes seconds to compile."""
    monkeypatch.setattr(search_choice, "CANDIDATES", (DecodingOptions(),))


@pytest.fixture(scope="module")
def config(tmp_path_factory, backbone_config):
    """Twelve images of noise; a quarter of them is for validation."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    lines = ["image\tcaption\tsplit"]
    for index in range(12):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{index}.png")
        split = "train" if index % 4 else "val"
        lines += [f"{index}.png\t{text}\t{split}" for text in ("一只狗在草地上跑", "一只猫在沙发上睡觉")]
    (folder / "captions.tsv").write_text("\n".join(lines), encoding="utf-8")
    training = {"epochs": 2, "batch_size": 4, "sample_count": 0, "tensorboard": False, "precision": "float32"}
    return Config(
        CorpusConfig((str(folder / "captions.tsv"),), images=str(folder)),
        TextConfig(min_frequency=1),
        backbone_config,
        ModelConfig(32, 48, 1, 2, 12, 0.0, 0.0, 0.0),
        TrainingConfig(**training),
    )


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    train(config, workdir, lambda text: None)
    return workdir


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "bundle").iterdir()}


def test_the_best_search_is_stored_and_survives_more_epochs(run, config, backbone_config, capsys):
    assert load_bundle(run).decoding == DecodingOptions()
    before = digests(run)
    extra = DecodingOptions(beam_width=5, max_length=3)
    log = []
    measured = choose_search(run, candidates=[extra], log=log.append)
    assert load_bundle(run).decoding == DecodingOptions() and digests(run) == before
    assert log[-1].endswith("is still: greedy; --force (force=True in Python) stores the best one anyway.")
    log.clear()
    measured = choose_search(run, candidates=[extra], log=log.append, force=True)
    assert {search.decoding for search in measured} == {*search_choice.CANDIDATES, extra}
    scores = [search.scores["cider"] for search in measured]
    assert scores == sorted(scores, reverse=True) and measured[0].scores.statistics.images == 3
    assert load_bundle(run).decoding == measured[0].decoding
    assert len(log) == len(measured) + 2 and "(words/jieba)" in log[1]
    assert "measured on 3 validation images only; at least 10 are needed" in log[0]
    after = digests(run)
    assert {name for name in after if after[name] != before.get(name)} <= {"config.json"}

    # A search that only the user names is stored if it wins, and a repeated `train` keeps it.
    forced = ["--beam-width", "2", "--prefix", "一只狗在草地上跑", "--max-images", "2", "--force"]
    assert main(["choose-search", str(run), *forced]) == 0
    chosen = load_bundle(run).decoding
    assert f"is now: {chosen.describe()}." in capsys.readouterr().out
    train(config, run, lambda text: None)
    assert load_bundle(run).decoding == chosen


def test_searches_that_cannot_be_measured_or_stored_are_rejected(run, tmp_path, capsys):
    with pytest.raises(BundleError, match=r"decoding\.beam_width must be at most 64 in a bundle, got 65"):
        choose_search(run, candidates=[DecodingOptions(beam_width=65)])
    with pytest.raises(ConfigError, match="'龘' not in the model's vocabulary"):
        choose_search(run, candidates=[DecodingOptions(suppress_words=("龘",))], log=lambda text: None)
    with pytest.raises(ConfigError, match="max_images must be at least 1"):
        choose_search(run, max_images=0)
    assert main(["choose-search", str(tmp_path)]) == 1
    assert "config.toml" in capsys.readouterr().err
