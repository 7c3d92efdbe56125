"""CIDEr fine-tuning: the reward, one step's numbers, and whole small tunings, also killed ones."""

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
from PIL import Image
from pycocoevalcap.cider.cider import Cider

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
from caption_tx.training.tuning.self_critical import MULTIPLE, advantages, collect_captions, lay_out
from caption_tx.training.tuning.tune import tune

COLORS = {"红色": (220, 30, 30), "绿色": (30, 190, 40), "蓝色": (30, 50, 220), "黄色": (230, 220, 40)}
TUNING = TuningConfig(epochs=2, learning_rate=3e-3, batch_size=4, temperature=1.0, caption_share=0.0)


def test_the_reward_is_cider_as_pycocoevalcap_computes_it():
    random = np.random.default_rng(0)

    def draw():
        return [*random.integers(0, 12, random.integers(0, 9)).tolist(), 99]

    references = [[draw() for _ in range(1 + image % 3)] for image in range(20)]
    captions = [draw() if image % 4 else references[image][0] for image in range(20)]
    reward = CiderReward(references)

    def spell(caption):
        return " ".join(map(str, caption))

    with contextlib.redirect_stdout(io.StringIO()):
        _, wanted = Cider().compute_score(
            {image: [spell(each) for each in own] for image, own in enumerate(references)},
            {image: [spell(caption)] for image, caption in enumerate(captions)},
        )
    rated = [reward(image, caption) for image, caption in enumerate(captions)]
    np.testing.assert_allclose(rated, wanted, atol=1e-9)
    assert max(rated) > 5 > 0.5 > min(rated)


def test_words_that_no_training_caption_has_only_make_a_caption_longer():
    reward = CiderReward([[[1, 2, 99]], [[3, 99]]])
    assert 0 < reward(0, [1, 2, 7, 99]) < reward(0, [1, 2, 99])
    assert reward(0, []) == 0


def test_an_advantage_is_what_lies_above_the_mean_of_the_others():
    np.testing.assert_allclose(advantages(np.array([[1.0, 2.0, 6.0]])), [[-3.0, -1.5, 4.5]])


def test_captions_of_an_image_lie_behind_each_other_in_its_row():
    arrays = lay_out([[([5, 6, 3], 0.5), ([7, 3], -1.0)], [([8, 3], 2.0)]], start=2)
    assert {values.shape for values in arrays.values()} == {(2, MULTIPLE)}
    assert arrays["token_ids"][:, :6].tolist() == [[2, 5, 6, 2, 7, 0], [2, 8, 0, 0, 0, 0]]
    assert arrays["labels"][:, :6].tolist() == [[5, 6, 3, 7, 3, 0], [8, 3, 0, 0, 0, 0]]
    assert arrays["positions"][:, :6].tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
    assert arrays["segment_ids"][:, :6].tolist() == [[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0]]
    assert arrays["weights"][:, :6].tolist() == [[0.5, 0.5, 0.5, -1, -1, 0], [2, 2, 0, 0, 0, 0]]
    assert not any(values[:, 6:].any() for values in arrays.values())


def test_peoples_captions_of_the_last_stage_give_the_reward():
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
    found = collect_captions(segment_corpus(table, Segmenter(text), {}), tokenizer, 10)
    assert found.packed.images == ("b", "a")
    start, end, unknown = tokenizer.start_token_id, tokenizer.end_token_id, tokenizer.unk_token_id
    a, dog, the, cow = (tokenizer.vocabulary.index(word) for word in ("a", "dog", "the", "cow"))
    assert [row.tolist() for row in found.packed.tokens] == [
        [start, a, dog, end], [start, the, dog, end], [start, a, unknown, end],
    ]  # fmt: skip
    assert len(set(found.words.tolist())) == tokenizer.vocabulary_size

    def rate(image, *tokens):
        return found.reward(image, found.words[[*tokens, end]].tolist())

    assert rate(0, a, dog) > rate(0, dog) > rate(0, cow)
    assert rate(1, a, unknown) == rate(1, a, cow)  # an unknown word is no zebra


def test_samples_may_come_twice_and_are_those_of_the_image_in_any_batch(make_captioner, features, tokenizer):
    captioner = make_captioner(seed=5)
    drawn = sample_token_ids(captioner, features[:3], tokenizer, 0.3, 12, [7, 8, 9])
    assert [len(each) for each in drawn] == [12, 12, 12]
    assert any(len({tuple(tokens) for tokens in each}) < 12 for each in drawn)
    assert sample_token_ids(captioner, features[1:2], tokenizer, 0.3, 12, [8]) == drawn[1:2]
    options = DecodingOptions(temperature=0.3, samples=12, n_best=12)
    [kept] = decode(captioner, features[1:2], tokenizer, options, [8])
    assert {caption.token_ids for caption in kept} == {tuple(tokens) for tokens in drawn[1]}


@pytest.fixture(scope="module")
def config(tmp_path_factory, backbone_config):
    """Of two captions in three every image has the same, which tells nothing; the third names its color."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    lines = ["image\tcaption\tsplit"]
    for number in range(40):
        word, color = list(COLORS.items())[number % 4]
        pixels = np.clip(np.array(color) + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = "val" if number >= 32 else "train"
        lines += [f"{number}.png\t{text}\t{split}" for text in ("一张图片", "一张图片", f"整个画面都是{word}的")]
    (folder / "captions.tsv").write_text("\n".join(lines), encoding="utf-8")
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
    """The workdir of a whole tuning, and what it told."""
    workdir, told = tmp_path_factory.mktemp("tuned"), []
    tune(run, workdir, TUNING, told.append)
    return workdir, told


def greedy(bundle, config):
    cache = open_cache(config.training.cache, bundle.backbone_key)
    features = dequantize(cache.load([f"{number}.png" for number in range(32, 40)]))
    return [caption.text for [caption] in decode(bundle.captioner, features, bundle.tokenizer)]


def test_tuning_teaches_to_say_what_tells_images_apart(run, tuned, config):
    assert set(greedy(load_bundle(run / "bundle"), config)) == {"一张图片"}
    bundle = load_bundle(tuned[0] / "bundle")
    assert greedy(bundle, config) == [f"整个画面都是{word}的" for word in COLORS] * 2
    history = pd.read_csv(tuned[0] / "log.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["val_cider"].iloc[0] < history["val_cider"].max() / 2
    assert history["reward"].iloc[1] < history["reward"].iloc[2]
    best = history.loc[history["val_cider"].idxmax()]
    facts = load_bundle(run / "bundle").facts
    assert bundle.facts == facts | {"tuning": {"epoch": best["epoch"], **best.drop("epoch")}}
    assert (tuned[0] / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "Epoch 2: CIDEr of drawn captions of training images" in "\n".join(tuned[1])


KILLED = """
import os, signal, sys
from caption_tx.config import TuningConfig
from caption_tx.training import callbacks
from caption_tx.training.tuning import self_critical, tune as tuning

learn, seen = self_critical.Tuner._learn, []
def watch(self, features, numbers, epoch):
    seen.append(epoch)
    if seen.count(1) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(self, features, numbers, epoch)
self_critical.Tuner._learn = watch
run, workdir = sys.argv[1:]
tuning.tune(run, workdir, TuningConfig(epochs=2, learning_rate=3e-3, batch_size=4, temperature=1.0, caption_share=0.0))
"""


def test_a_killed_tuning_goes_on_and_ends_like_an_uninterrupted_one(run, tuned, tmp_path, run_python):
    process = run_python(KILLED, run, tmp_path / "killed")
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    assert pd.read_csv(tmp_path / "killed" / "log.csv")["epoch"].tolist() == [0, 1]
    told = []
    bundle = tune(run, tmp_path / "killed", TUNING, told.append)
    assert f"Going on after epoch 1 of the tuning in {tmp_path / 'killed'}." in told
    one, other = (pd.read_csv(folder / "log.csv") for folder in (tuned[0], tmp_path / "killed"))
    pd.testing.assert_frame_equal(one, other, rtol=1e-3)
    for weight, same in zip(bundle.captioner.weights, load_bundle(tuned[0] / "bundle").captioner.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), same.numpy(), atol=1e-3)

    told.clear()
    tune(run, tmp_path / "killed", TUNING, told.append)
    assert not any("drawn" in text for text in told)  # it is done


def test_captions_that_grow_alike_end_the_tuning_and_are_not_used(run, tmp_path, monkeypatch):
    def worse(self, epoch, logs):
        logs |= {"val_bleu4": 1.0, "val_cider": 10.0 + epoch, "val_distinct": 8.0 - 3 * (epoch + 1)}

    monkeypatch.setattr(CaptionMetrics, "on_epoch_end", worse)
    told = []
    bundle = tune(run, tmp_path, TUNING, told.append)
    assert pd.read_csv(tmp_path / "log.csv")["epoch"].tolist() == [0, 1]
    assert "Stopped: 5 distinct captions are fewer than 75% of the 8 at the start; this epoch is not used." in told
    for weight, before in zip(bundle.captioner.weights, load_bundle(run / "bundle").captioner.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before.numpy())
    told.clear()
    tune(run, tmp_path, TUNING, told.append)
    assert not any("drawn" in text for text in told)  # nor does the same command go on with it


def test_another_tuning_in_the_workdir_is_refused(run, tuned):
    for workdir, tuning in ((tuned[0], dataclasses.replace(TUNING, seed=1)), (run, TUNING)):
        with pytest.raises(ConfigError, match="name another workdir"):
            tune(run, workdir, tuning)


def test_a_run_is_not_tuned_in_place_even_without_its_checkpoint(run, tmp_path):
    shutil.copytree(run / "bundle", tmp_path / "run" / "bundle")
    shutil.copy(run / "config.toml", tmp_path / "run")
    before = (tmp_path / "run" / "bundle" / "config.json").read_bytes()
    with pytest.raises(ConfigError, match="name another workdir"):
        tune(tmp_path / "run", tmp_path / "x" / ".." / "run", TUNING)
    assert (tmp_path / "run" / "bundle" / "config.json").read_bytes() == before


def test_a_tuning_goes_on_under_a_version_with_more_settings_and_not_with_other_captions(
    run, tuned, config, tmp_path, monkeypatch
):
    shutil.copytree(tuned[0], tmp_path / "tuned")
    path = tmp_path / "tuned" / "tuning.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    del facts["tuning"]["least_distinct"], facts["run"]["training"]["mix_stages"]
    path.write_text(json.dumps(facts), encoding="utf-8")
    told = []
    tune(run, tmp_path / "tuned", TUNING, told.append)
    assert any(text.startswith("Going on after epoch 2") for text in told)

    captions = Path(config.corpus.sources[0])
    whole = captions.read_text(encoding="utf-8")
    try:
        captions.write_text(whole.replace("0.png\t一张图片", "0.png\t图片", 1), encoding="utf-8")
        with pytest.raises(CaptionTxError, match="other captions"):
            tune(run, tmp_path / "tuned", TUNING, told.append)
    finally:
        captions.write_text(whole, encoding="utf-8")


def test_the_backbone_may_have_moved_since_the_training(run, config, tmp_path, capsys):
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


def test_weights_beyond_numbers_are_a_clear_error(make_captioner, features, tokenizer):
    captioner = make_captioner()
    captioner.weights[0].assign(np.full(captioner.weights[0].shape, np.nan))
    references = {str(number): ["a b"] for number in range(len(features))}
    scores = CaptionMetrics(
        captioner, tokenizer, features, references, "en", DecodingOptions(), every=1, last=1, log=print
    )
    with pytest.raises(CaptionTxError, match=r"after epoch 1.*lower the learning rate"):
        scores.on_epoch_end(0, {})


def test_runs_that_cannot_be_tuned_are_refused(run, config, tmp_path):
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
    alone = dataclasses.replace(config, corpus=dataclasses.replace(config.corpus, sources=(str(captions),)))
    (folder / "config.toml").write_text(dump_config(alone), encoding="utf-8")
    with pytest.raises(ConfigError, match="needs a validation split"):
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


def test_the_command_hands_its_options_on(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr("caption_tx.training.tuning.tune.tune", lambda *values: given.append(values))
    main(["tune", str(tmp_path), "--workdir", str(tmp_path / "out"), "--samples", "7", "--temperature", "0.7"])
    run_folder, workdir, tuning, _, weights = given[0]
    assert (run_folder, workdir, weights) == (tmp_path, tmp_path / "out", None)
    assert tuning == TuningConfig(samples=7, temperature=0.7)
