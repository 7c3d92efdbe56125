"""Fine-tuning with a CIDEr reward: the reward, the rows of a step, and small complete tunings, also resumed ones."""

import contextlib
import dataclasses
import io
import json
import math
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pycocoevalcap.cider.cider import Cider
from small_runs import COLORS, write_colors

from caption_tx.bundle import load_bundle
from caption_tx.cli import main
from caption_tx.config import (
    Config,
    CorpusConfig,
    DecodingOptions,
    ModelConfig,
    TextConfig,
    TrainingConfig,
    TuningConfig,
)
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import open_cache
from caption_tx.data.preparation import segment_corpus
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.inference.search.decode import decode, sample_token_ids
from caption_tx.training.callbacks import CaptionMetrics
from caption_tx.training.fit import train
from caption_tx.training.tuning.reward import CiderReward
from caption_tx.training.tuning.self_critical import LENGTH_MULTIPLE, advantages, collect_captions, pack_weighted
from caption_tx.training.tuning.tune import tune

pytestmark = pytest.mark.usefixtures("shared_backbones")

TUNING = TuningConfig(epochs=2, learning_rate=3e-3, batch_size=4, temperature=1.0, caption_share=0.0)


def test_the_reward_equals_cider_of_pycocoevalcap():
    random = np.random.default_rng(0)

    def draw():
        return [*random.integers(0, 12, random.integers(0, 9)).tolist(), 99]

    references = [[draw() for _ in range(1 + image % 3)] for image in range(20)]
    captions = [draw() if image % 4 else references[image][0] for image in range(20)]
    reward = CiderReward(references)

    def spell(caption):
        return " ".join(map(str, caption))

    with contextlib.redirect_stdout(io.StringIO()):
        _, expected = Cider().compute_score(
            {image: [spell(caption) for caption in own] for image, own in enumerate(references)},
            {image: [spell(caption)] for image, caption in enumerate(captions)},
        )
    rated = [reward(image, caption) for image, caption in enumerate(captions)]
    np.testing.assert_allclose(rated, expected, atol=1e-9)
    assert max(rated) > 5 > 0.5 > min(rated)


def test_words_that_no_training_caption_contains_only_make_a_caption_longer():
    reward = CiderReward([[[1, 2, 99]], [[3, 99]]])
    assert 0 < reward(0, [1, 2, 7, 99]) < reward(0, [1, 2, 99])
    assert reward(0, []) == 0


def test_an_advantage_is_the_reward_minus_the_mean_of_the_others():
    np.testing.assert_allclose(advantages(np.array([[1.0, 2.0, 6.0]])), [[-3.0, -1.5, 4.5]])


def test_the_captions_of_an_image_are_packed_into_one_row():
    arrays = pack_weighted([[([5, 6, 3], 0.5), ([7, 3], -1.0)], [([8, 3], 2.0)]], start_token_id=2)
    assert {values.shape for values in arrays.values()} == {(2, LENGTH_MULTIPLE)}
    assert arrays["token_ids"][:, :6].tolist() == [[2, 5, 6, 2, 7, 0], [2, 8, 0, 0, 0, 0]]
    assert arrays["labels"][:, :6].tolist() == [[5, 6, 3, 7, 3, 0], [8, 3, 0, 0, 0, 0]]
    assert arrays["positions"][:, :6].tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
    assert arrays["segment_ids"][:, :6].tolist() == [[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0]]
    assert arrays["weights"][:, :6].tolist() == [[0.5, 0.5, 0.5, -1, -1, 0], [2, 2, 0, 0, 0, 0]]
    assert not any(values[:, 6:].any() for values in arrays.values())


def test_the_reward_uses_human_captions_of_the_last_stage():
    table = pd.DataFrame(
        {
            "image": ["b", "a", "b", "a", "a"],
            "caption": ["a dog", "one cat", "the dog", "a zebra", "never"],
            "split": ["train"] * 4 + ["val"],
            "origin": ["human", "machine", "human", "human", "human"],
            "stage": [2, 1, 2, 2, 2],
        }
    ).assign(weight=np.float32(1), source="x", line=range(5))
    text = TextConfig(language="en")
    tokenizer = Tokenizer([*SPECIAL_TOKENS, "a", "dog", "the", "cow"], "en")
    captions = collect_captions(segment_corpus(table, Segmenter(text), {}), tokenizer, 10)
    assert captions.packed.images == ("b", "a")
    start, end, unknown = tokenizer.start_token_id, tokenizer.end_token_id, tokenizer.unk_token_id
    a, dog, the, cow = (tokenizer.vocabulary.index(word) for word in ("a", "dog", "the", "cow"))
    assert [row.tolist() for row in captions.packed.tokens] == [
        [start, a, dog, end], [start, the, dog, end], [start, a, unknown, end],
    ]  # fmt: skip
    assert len(set(captions.word_ids.tolist())) == tokenizer.vocabulary_size

    def rate(image, *tokens):
        return captions.reward(image, captions.word_ids[[*tokens, end]].tolist())

    assert rate(0, a, dog) > rate(0, dog) > rate(0, cow)
    assert rate(1, a, unknown) == rate(1, a, cow)  # an unknown word does not match "zebra"


def test_samples_may_repeat_and_do_not_depend_on_the_batch(make_captioner, features, tokenizer):
    captioner = make_captioner(seed=5, num_layers=1)
    drawn = sample_token_ids(captioner, features[:3], tokenizer, 0.3, 12, [7, 8, 9])
    assert [len(own) for own in drawn] == [12, 12, 12]
    assert any(len({tuple(tokens) for tokens in own}) < 12 for own in drawn)
    assert sample_token_ids(captioner, features[1:2], tokenizer, 0.3, 12, [8]) == drawn[1:2]
    options = DecodingOptions(temperature=0.3, samples=12, n_best=12)
    [kept] = decode(captioner, features[1:2], tokenizer, options, [8])
    assert {caption.token_ids for caption in kept} == {tuple(tokens) for tokens in drawn[1]}


@pytest.fixture(scope="module")
def config(tmp_path_factory, backbone_config):
    """Two of three captions are the same for all images; the third names the color of the image."""
    folder = tmp_path_factory.mktemp("corpus")
    write_colors(folder, lambda word: ("一张图片", "一张图片", f"整个画面都是{word}的"))
    training = {"epochs": 12, "batch_size": 4, "learning_rate": 0.01, "label_smoothing": 0.0, "tensorboard": False}
    training["precision"] = "float32"
    return Config(
        CorpusConfig((str(folder / "captions.tsv"),), images=str(folder)),
        TextConfig(min_frequency=1),
        backbone_config,
        ModelConfig(32, 48, 1, 2, 12, 0.0, 0.0, 0.0),
        TrainingConfig(**training, sample_count=0, cache=str(folder / "features")),
    )


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """The workdir of a finished run."""
    workdir = tmp_path_factory.mktemp("run")
    train(config, workdir, lambda text: None)
    return workdir


@pytest.fixture(scope="module")
def tuned(run, tmp_path_factory):
    """The workdir and the log of a complete tuning."""
    workdir, log = tmp_path_factory.mktemp("tuned"), []
    tune(run, workdir, TUNING, log.append)
    return workdir, log


def greedy(bundle, config):
    cache = open_cache(config.training.cache, bundle.backbone_key)
    features = dequantize(cache.load([f"{index}.png" for index in range(32, 40)]))
    return [caption.text for [caption] in decode(bundle.captioner, features, bundle.tokenizer)]


@pytest.mark.slow
def test_tuning_teaches_captions_that_distinguish_images(run, tuned, config):
    assert set(greedy(load_bundle(run / "bundle"), config)) == {"一张图片"}
    bundle = load_bundle(tuned[0] / "bundle")
    assert greedy(bundle, config) == [f"整个画面都是{word}的" for word in COLORS] * 2
    history = pd.read_csv(tuned[0] / "log.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["val_cider"].iloc[0] < history["val_cider"].max() / 2
    assert history["reward"].iloc[1] < history["reward"].iloc[2]
    best = history.loc[history["val_cider"].idxmax()]
    facts = load_bundle(run / "bundle").facts
    measured = {"epoch": best["epoch"], **best.drop("epoch")}
    assert bundle.facts == facts | {"tuning": measured, "attention": {"pool": load_bundle(run / "bundle").pool}}
    assert (tuned[0] / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "Epoch 2: CIDEr of sampled captions of training images" in "\n".join(tuned[1])


KILLED = """
import os, signal, sys
from caption_tx.config import TuningConfig
from caption_tx.training.tuning import self_critical, tune as tuning

train_batch, seen = self_critical.Tuner._train_batch, []
def watch(self, features, images, epoch):
    seen.append(epoch)
    if seen.count(1) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_batch(self, features, images, epoch)
self_critical.Tuner._train_batch = watch
run, workdir = sys.argv[1:]
tuning.tune(run, workdir, TuningConfig(epochs=2, learning_rate=3e-3, batch_size=4, temperature=1.0, caption_share=0.0))
"""


@pytest.mark.slow
def test_a_killed_tuning_resumes_and_ends_like_an_uninterrupted_one(run, tuned, tmp_path, run_forked):
    process = run_forked(KILLED, run, tmp_path / "killed")
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    assert pd.read_csv(tmp_path / "killed" / "log.csv")["epoch"].tolist() == [0, 1]
    log = []
    bundle = tune(run, tmp_path / "killed", TUNING, log.append)
    assert f"Resuming after epoch 1 of the tuning in {tmp_path / 'killed'}." in log
    one, other = (pd.read_csv(folder / "log.csv") for folder in (tuned[0], tmp_path / "killed"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-3)
    for weight, same in zip(bundle.captioner.weights, load_bundle(tuned[0] / "bundle").captioner.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), same.numpy(), atol=1e-3)

    log.clear()
    tune(run, tmp_path / "killed", TUNING, log.append)
    assert not any("sampled" in text for text in log)  # it is finished


@pytest.mark.slow
def test_an_epoch_with_too_few_distinct_captions_ends_the_tuning_and_is_not_used(run, tmp_path, monkeypatch):
    def worse(self, epoch, logs):
        logs |= {"val_bleu4": 1.0, "val_cider": 10.0 + epoch, "val_distinct": 8.0 - 3 * (epoch + 1)}

    monkeypatch.setattr(CaptionMetrics, "on_epoch_end", worse)
    log = []
    bundle = tune(run, tmp_path, TUNING, log.append)
    assert pd.read_csv(tmp_path / "log.csv")["epoch"].tolist() == [0, 1]
    assert "Stopped: 5 distinct captions are fewer than 75% of the 8 at the start; this epoch is not used." in log
    for weight, before in zip(bundle.captioner.weights, load_bundle(run / "bundle").captioner.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before.numpy())
    log.clear()
    tune(run / "bundle", tmp_path, TUNING, log.append)  # the folder of its bundle stands for the run
    assert not any("sampled" in text for text in log)  # the same command does not continue either


@pytest.mark.slow
def test_a_workdir_with_another_tuning_is_rejected(run, tuned):
    for workdir, tuning in ((tuned[0], dataclasses.replace(TUNING, seed=1)), (run, TUNING)):
        with pytest.raises(ConfigError, match="choose another workdir"):
            tune(run, workdir, tuning)


@pytest.mark.slow
def test_a_run_cannot_be_tuned_in_its_own_workdir_even_without_a_checkpoint(run, tmp_path):
    shutil.copytree(run / "bundle", tmp_path / "run" / "bundle")
    shutil.copy(run / "config.toml", tmp_path / "run")
    before = (tmp_path / "run" / "bundle" / "config.json").read_bytes()
    with pytest.raises(ConfigError, match="choose another workdir"):
        tune(tmp_path / "run", tmp_path / "x" / ".." / "run", TUNING)
    assert (tmp_path / "run" / "bundle" / "config.json").read_bytes() == before


@pytest.mark.slow
def test_a_tuning_resumes_in_a_version_with_more_settings_but_not_on_other_captions(
    run, tuned, config, tmp_path, monkeypatch
):
    shutil.copytree(tuned[0], tmp_path / "tuned")
    path = tmp_path / "tuned" / "tuning.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    del facts["tuning"]["least_distinct"], facts["run"]["training"]["mix_stages"]
    path.write_text(json.dumps(facts), encoding="utf-8")
    log = []
    tune(run, tmp_path / "tuned", TUNING, log.append)
    assert any(text.startswith("Resuming after epoch 2") for text in log)

    captions = Path(config.corpus.sources[0])
    whole = captions.read_text(encoding="utf-8")
    try:
        captions.write_text(whole.replace("0.png\t一张图片", "0.png\t图片", 1), encoding="utf-8")
        with pytest.raises(CaptionTxError, match="other captions"):
            tune(run, tmp_path / "tuned", TUNING, log.append)
    finally:
        captions.write_text(whole, encoding="utf-8")


@pytest.mark.slow
def test_the_backbone_weights_may_have_moved_since_the_training(run, config, tmp_path, capsys):
    moved = tmp_path / "run"
    moved.mkdir()
    (moved / "bundle").symlink_to(run / "bundle")
    text = (run / "config.toml").read_text(encoding="utf-8")
    (moved / "config.toml").write_text(text.replace(config.backbone.weights, "gone.weights.h5"), encoding="utf-8")
    command = ["tune", str(moved), "--workdir", str(tmp_path / "tuned"), "--epochs", "1", "--batch-size", "4"]
    assert main([*command, "--backbone-weights", "nowhere.h5"]) == 1
    assert "nowhere.h5" in capsys.readouterr().err
    assert main([*command, "--backbone-weights", config.backbone.weights]) == 0
    assert load_bundle(tmp_path / "tuned" / "bundle").facts["tuning"]["val_cider"] >= 0


@pytest.mark.slow
def test_runs_that_cannot_be_tuned_are_rejected(run, config, tmp_path):
    from caption_tx.config import dump_config

    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "bundle").symlink_to(run / "bundle")
    uncached = dataclasses.replace(config, training=dataclasses.replace(config.training, cached=False))
    (folder / "config.toml").write_text(dump_config(uncached), encoding="utf-8")
    with pytest.raises(ConfigError, match="without a feature cache"):
        tune(folder, tmp_path / "tuned", TUNING)
    captions = tmp_path / "captions.tsv"
    lines = Path(config.corpus.sources[0]).read_text(encoding="utf-8").replace("\tval", "\ttrain")
    captions.write_text(lines, encoding="utf-8")
    train_only = dataclasses.replace(config, corpus=dataclasses.replace(config.corpus, sources=(str(captions),)))
    (folder / "config.toml").write_text(dump_config(train_only), encoding="utf-8")
    with pytest.raises(ConfigError, match="but the corpus has none"):
        tune(folder, tmp_path / "tuned", TUNING)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("samples", 1),
        ("temperature", 0.0),
        ("epochs", 0),
        ("least_distinct", 1.5),
        ("caption_share", -0.1),
        ("learning_rate", math.inf),
        ("clip_norm", math.nan),
    ],
)
def test_settings_out_of_range_are_named(setting, value):
    with pytest.raises(ConfigError, match=f"tuning.{setting}"):
        TuningConfig(**{setting: value})


def test_the_command_passes_its_options(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("caption_tx.api.runs.tune_captioner", lambda *values: calls.append(values))
    monkeypatch.setattr("caption_tx.api.runs.load_bundle", lambda folder: None)
    main(["tune", str(tmp_path), "--workdir", str(tmp_path / "out"), "--samples", "7", "--temperature", "0.7"])
    run_folder, workdir, tuning, _, weights = calls[0]
    assert (run_folder, workdir, weights) == (tmp_path, tmp_path / "out", None)
    assert tuning == TuningConfig(samples=7, temperature=0.7)
