"""Small complete runs: learning, resuming killed runs, and what a run rejects."""

import dataclasses
import json
import os
import re
import shutil
import signal
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from caption_tx.bundle import load_bundle
from caption_tx.config import (
    POOL_NAMES,
    BoxesConfig,
    Config,
    CorpusConfig,
    ModelConfig,
    TextConfig,
    TrainingConfig,
    dump_config,
)
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import BundleError, CaptionTxError, ConfigError, CorpusError
from caption_tx.inference.search.decode import decode
from caption_tx.training import fit
from caption_tx.training.checkpoint import RunCheckpoint
from caption_tx.training.fit import train

pytestmark = pytest.mark.usefixtures("shared_backbones")

COLORS = {"红色": (220, 30, 30), "绿色": (30, 190, 40), "蓝色": (30, 50, 220), "黄色": (230, 220, 40)}
FULL = {"tensorboard": True, "sample_count": 2}
DEFAULTS = {
    "epochs": 4,
    "batch_size": 4,
    "patience": 4,
    "learning_rate": 0.01,
    "warmup_epochs": 0.5,
    "sample_count": 0,
    "sample_temperatures": (0.0,),
    "tensorboard": False,
    "label_smoothing": 0.0,
    "precision": "float32",
}


def quiet(text):
    """A log that discards its lines."""


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


@pytest.fixture(scope="module")
def log():
    return []


@pytest.fixture(scope="module")
def complete(make_config, backbone, tmp_path_factory, log):
    """The workdir of an uninterrupted run, and its bundle. Its backbone has been built before, unlike in a process of
    its own, which must not change the random weights."""
    workdir = tmp_path_factory.mktemp("complete")
    return workdir, train(make_config(**FULL), workdir, log.append)


def history(workdir):
    return pd.read_csv(workdir / "log.csv")


def test_the_loss_falls_below_the_marginal_entropy(complete, log):
    marginal = float(re.search(r"marginal entropy ([\d.]+)", "\n".join(log))[1])
    assert 1 < marginal < 4
    losses = history(complete[0])["val_token_loss"]
    assert losses.min() < marginal - 1
    assert losses.iloc[-1] < losses.iloc[0]


def test_the_workdir_contains_all_files_of_a_run(complete):
    workdir, _ = complete
    for name in ("config.toml", "log.csv", "curves.png", "samples.txt", "checkpoint.npz", "tensorboard", "bundle"):
        assert (workdir / name).exists(), name
    assert history(workdir)["epoch"].tolist() == [1, 2, 3, 4]
    assert list((workdir / "tensorboard").rglob("events*"))
    assert (workdir / "samples.txt").read_text(encoding="utf-8").count("Epoch") == 4
    assert not list(workdir.glob("*.tmp")) + list(workdir.glob("*.old"))


def test_the_log_reports_parameters_vocabulary_and_the_best_epoch(complete, log):
    text = "\n".join(log)
    for part in ("The captioner has ", "Vocabulary: ", "train: 32 images, 64 captions", "Best epoch "):
        assert part in text


def test_the_deletion_check_chooses_the_pooling_without_boxes(complete, log):
    _, bundle = complete
    assert bundle.facts["attention"]["pool"] == bundle.pool
    assert "by covering what words attended to" in bundle.facts["attention"]["measured_on"]
    assert any(line.startswith(f"Attention maps are pooled by {bundle.pool}, measured on") for line in log)


def test_the_bundle_is_of_the_best_epoch_and_names_colors(complete, corpus, backbone):
    workdir, bundle = complete
    assert bundle.facts["val_token_loss"] == pytest.approx(history(workdir)["val_token_loss"].min())
    images = np.stack([read_image(str(corpus / f"{index}.png"), 32)[1] for index in range(32, 40)])
    features = np.asarray(dequantize(bundle.load_backbone(backbone.config.weights).encode(images)))
    texts = [caption.text for [caption] in decode(bundle.captioner, features, bundle.tokenizer)]
    correct = [list(COLORS)[index % 4] in text for index, text in enumerate(texts)]
    assert sum(correct) >= 6, texts


def test_a_finished_run_is_not_trained_again(complete, make_config):
    workdir, bundle = complete
    before = history(workdir)
    again = train(make_config(**FULL), workdir, quiet)
    pd.testing.assert_frame_equal(history(workdir), before)
    np.testing.assert_array_equal(again.captioner.get_weights()[0], bundle.captioner.get_weights()[0])


@pytest.mark.slow
def test_parallel_chunks_and_training_without_a_cache_give_the_same_losses(
    complete, make_config, tmp_path, run_forked, parallel_chunks
):
    """In a process of its own, since this one has configured its threads already."""
    for name, settings in (
        ("cached", {"cached": True}),
        ("uncached", {"cached": False, "score_every": 4, "score_images": 3}),
    ):
        (tmp_path / f"{name}.toml").write_text(dump_config(make_config(**settings)), encoding="utf-8")
    code = """
import sys
from caption_tx import threads
from caption_tx.config import load_config
from caption_tx.training.fit import train
threads.configure_threads()
for path in sys.argv[1:]:
    train(load_config(f"{path}.toml"), path)
print("chunks", threads.parallel_chunks())
"""
    process = run_forked(code, tmp_path / "cached", tmp_path / "uncached")
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.splitlines()[-1] == f"chunks {parallel_chunks}"
    assert parallel_chunks == 1 or process.stdout.count(f"each batch in {parallel_chunks} parallel chunks.") == 2
    expected = history(complete[0])
    for name in ("cached", "uncached"):
        for column in ("loss", "val_token_loss"):
            np.testing.assert_allclose(history(tmp_path / name)[column], expected[column], atol=1e-3)
    assert not (tmp_path / "uncached" / "features").exists()
    assert history(tmp_path / "uncached")["val_bleu4"].notna().tolist() == [False, False, False, True]


def test_other_settings_in_the_same_workdir_are_rejected(complete, make_config):
    with pytest.raises(ConfigError, match="other settings"):
        train(make_config(**(FULL | {"seed": 3})), complete[0], quiet)


@pytest.mark.slow
def test_a_finished_run_trains_longer(complete, make_config, tmp_path):
    workdir, lines = shutil.copytree(complete[0], tmp_path / "run"), []
    train(make_config(**FULL, epochs=5), workdir, lines.append)
    assert f"Resuming after epoch 4 of the run in {workdir}." in lines
    epochs = history(workdir)
    assert epochs["epoch"].tolist() == [1, 2, 3, 4, 5]
    pd.testing.assert_frame_equal(epochs[:4], history(complete[0]))
    assert np.isfinite(epochs["val_token_loss"][4])


def test_other_captions_in_the_same_workdir_are_rejected(complete, make_config, tmp_path, corpus):
    workdir, source = shutil.copytree(complete[0], tmp_path / "run"), corpus / "captions.tsv"
    whole = source.read_text(encoding="utf-8")
    settings = (workdir / "config.toml").read_bytes()
    try:
        source.write_text("\n".join(whole.splitlines()[:-30]), encoding="utf-8")
        with pytest.raises(CaptionTxError, match="other captions"):
            train(make_config(**FULL, epochs=5), workdir, quiet)
        assert (workdir / "config.toml").read_bytes() == settings  # so that the old command resumes the run
    finally:
        source.write_text(whole, encoding="utf-8")


@pytest.mark.slow
def test_without_validation_the_best_epoch_is_in_the_last_stage(make_config, tmp_path, corpus):
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:65]
    (tmp_path / "easy.txt").write_text("\n".join(f"{line.split(chr(9))[0]}#zhb#0 图片" for line in lines))
    (tmp_path / "hard.tsv").write_text("image\tcaption\tsplit\n" + "\n".join(lines), encoding="utf-8")
    base = make_config(epochs=4, stage_epochs=(3,))
    sources = (f"{tmp_path / 'easy.txt'}:stage=1", f"{tmp_path / 'hard.tsv'}:stage=2")
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=sources, val_fraction=0.0))
    bundle = train(config, tmp_path / "run", quiet)
    losses = history(tmp_path / "run")["token_loss"]
    assert losses[2] < losses[3]
    assert bundle.facts["epoch"] == 4


KILLED = """
import os, signal, sys
from caption_tx.config import load_config
from caption_tx.training.checkpoint import RunCheckpoint
from caption_tx.training.fit import train

def die_in_the_third_epoch(self, batch, logs=None):
    if len(self.history.epochs) == 2 and batch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

RunCheckpoint.on_train_batch_end = die_in_the_third_epoch
train(load_config(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_like_an_uninterrupted_one(
    complete, make_config, run_forked, tmp_path, monkeypatch
):
    config = make_config(**FULL)
    (tmp_path / "config.toml").write_text(dump_config(config), encoding="utf-8")
    workdir = tmp_path / "run"
    process = run_forked(KILLED, tmp_path / "config.toml", workdir)
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    killed = history(workdir)
    assert killed["epoch"].tolist() == [1, 2]

    # As after a kill between the checkpoint of epoch 2 and the files that follow it.
    samples = workdir / "samples.txt"
    samples.write_text(samples.read_text(encoding="utf-8").partition("Epoch 2")[0], encoding="utf-8")
    (workdir / "log.csv").unlink()
    (workdir / ".log.csv.00000000.1.abcdefgh.tmp").touch()
    os.rename(workdir / "bundle", workdir / "bundle.00000000.1.old")

    epochs, lines = [], []
    monkeypatch.setattr(RunCheckpoint, "on_epoch_begin", lambda self, epoch, logs=None: epochs.append(epoch))
    train(config, workdir, lines.append)
    assert epochs == [2, 3]
    assert re.findall(r"^Epoch (\d)", samples.read_text(encoding="utf-8"), re.MULTILINE) == list("1234")
    assert not list(workdir.glob("*.tmp")) + list(workdir.glob(".*.tmp")) + list(workdir.glob("*.old"))
    assert f"Resuming after epoch 2 of the run in {workdir}." in lines
    resumed, uninterrupted = history(workdir), history(complete[0])
    assert resumed["epoch"].tolist() == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(resumed[:2], killed)
    assert abs(resumed["val_token_loss"].iloc[-1] - uninterrupted["val_token_loss"].iloc[-1]) < 0.1


@pytest.mark.slow
def test_a_run_is_fine_tuned_interrupted_resumed_and_fine_tuned_again(complete, make_config, tmp_path, monkeypatch):
    """On the same images with other captions, some of them longer than those of the first run."""
    old, lines = complete[1], ["image\tcaption\tsplit"]
    for index in range(40):
        word, split = list(COLORS)[index % 4], "val" if index >= 32 else "train"
        lines += [
            f"{index}.png\t{word}图片\t{split}",
            f"{index}.png\t这是一张画面整个都是{word}{'的' * 9}照片\t{split}",
        ]
    source, first, again, log = tmp_path / "captions.tsv", tmp_path / "first", tmp_path / "again", []
    source.write_text("\n".join(lines), encoding="utf-8")
    model = ModelConfig(max_length=20, dropout=0.0, attention_dropout=0.0, feature_dropout=0.0)
    config = make_config(source, init=str(complete[0]), keep_words=True, epochs=2, flips=False, monitor="last")
    config = dataclasses.replace(config, model=model)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at_epoch=1)
        train(config, first, log.append)
    with np.load(first / "checkpoint.npz") as stored:
        trained = stored["model0"]
    begun, starts = history(first), []

    def on_train_begin(self, logs=None):
        starts.append(self.captioner.variables[0].numpy())

    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "on_train_begin", on_train_begin)
        bundle = train(config, first, log.append)
    np.testing.assert_array_equal(starts, [trained])  # not the bundle's again
    epochs = history(first)
    pd.testing.assert_frame_equal(epochs[:1], begun)
    assert epochs["epoch"].tolist() == [1, 2]
    assert epochs["val_token_loss"][0] < history(complete[0])["val_token_loss"][0]
    text = "\n".join(log)
    assert f"Starting from the bundle {complete[0]}: MobileNet, 1 layers, hidden_dim 32" in text
    assert "8 positions are added for longer captions." in text
    assert f"Resuming after epoch 1 of the run in {first}." in text
    assert set(old.tokenizer.vocabulary) < set(bundle.tokenizer.vocabulary)
    assert bundle.captioner.settings.num_layers == 1 and bundle.captioner.max_length == 20
    assert bundle.facts["init"] == complete[0].name and bundle.facts["epoch"] == 2
    assert "Last epoch 2: val_token_loss " in text

    second = dataclasses.replace(config, training=dataclasses.replace(config.training, init=str(first / "bundle")))
    with pytest.raises(ConfigError, match="which this run would replace"):
        train(second, first, quiet)
    log.clear()
    train(second, again, log.append)
    words = bundle.tokenizer.vocabulary_size - 4
    assert f"{words} of {words} words are shared with the bundle" in "\n".join(log)
    assert history(again)["val_token_loss"][0] < epochs["val_token_loss"][0]
    shutil.rmtree(first / "bundle")
    shutil.copytree(again / "bundle", first / "bundle")
    with pytest.raises(CaptionTxError, match="from another initial bundle"):
        train(second, again, quiet)


def test_another_backbone_than_that_of_the_bundle_is_rejected_before_encoding(complete, make_config, tmp_path):
    config = make_config(init=str(complete[0]), cache=str(tmp_path / "features"))
    resnet = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, name="MobileNetV2"))
    with pytest.raises(ConfigError, match=r"backbone\.name is 'MobileNetV2', but the bundle .* with 'MobileNet'"):
        train(resnet, tmp_path / "run", quiet)
    backbone = dataclasses.replace(config.backbone, weights=_other_weights(tmp_path))
    other = dataclasses.replace(config, backbone=backbone)
    with pytest.raises(BundleError, match=r"complete.*weights_sha256"):
        train(other, tmp_path / "run", quiet)
    assert not (tmp_path / "features").exists()


def _other_weights(folder):
    network = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    network.save_weights(folder / "other.weights.h5")
    return str(folder / "other.weights.h5")


def interrupt(patch, at_epoch):
    """Makes `train` raise KeyboardInterrupt at the begin of the epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == at_epoch:
            raise KeyboardInterrupt

    patch.setattr(RunCheckpoint, "on_epoch_begin", on_epoch_begin)


@pytest.mark.slow
def test_caption_metrics_select_the_best_epoch_even_after_a_restart(make_config, tmp_path, monkeypatch):
    config = make_config(epochs=3, patience=3, score_every=2, score_images=5, monitor="cider", tensorboard=True)
    workdir, lines = tmp_path / "run", []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at_epoch=2)
        train(config, workdir, lines.append)
    bundle = train(config, workdir, lines.append)
    epochs = history(workdir)
    assert epochs["val_cider"].notna().tolist() == [False, True, True]  # the last epoch always has a score
    assert epochs["val_distinct"].dropna().between(1, 5).all()
    assert sum("scores of 5 validation images: BLEU-4 " in line for line in lines) == 2
    best = epochs["val_cider"].max()
    assert bundle.facts["val_cider"] == best
    assert any(f"val_cider {best:.4f}" in line for line in lines)
    events = b"".join(path.read_bytes() for path in (workdir / "tensorboard" / "validation").glob("events*"))
    assert b"epoch_cider" in events


@pytest.mark.parametrize(
    ("missing", "message"),
    [("captions", "needs human captions in split 'val'"), ("scorer", r"pip install 'caption_tx\[eval\]'")],
)
def test_scores_that_cannot_be_computed_are_rejected_before_encoding(
    make_config, corpus, tmp_path, monkeypatch, missing, message
):
    source = corpus / "captions.tsv"
    if missing == "captions":
        text = source.read_text(encoding="utf-8").replace("\tval", "\ttrain")
        source = tmp_path / "captions.tsv"
        source.write_text(text, encoding="utf-8")
    else:
        monkeypatch.setitem(sys.modules, "pycocoevalcap.bleu.bleu_scorer", None)
    with pytest.raises(ConfigError, match=message):
        train(make_config(source, score_every=2, cache=str(tmp_path / "features")), tmp_path / "run", quiet)
    assert not (tmp_path / "features").exists()


class StopError(Exception):
    """Ends a run before it builds its model."""


@pytest.fixture(scope="module")
def with_unreadable_images(corpus, tmp_path_factory):
    """The captions of the corpus, and captions of three images that do not exist."""
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()
    lines += ["gone.png\t一张红色的图片\ttrain", "lost.png\t一张红色的图片\tval"]
    lines[1:1] = ["first.png\t一张红色的图片\tval"]  # would be the first sample
    source = tmp_path_factory.mktemp("unreadable") / "captions.tsv"
    source.write_text("\n".join(lines), encoding="utf-8")
    return source


@pytest.fixture(scope="module")
def uncached(make_config, with_unreadable_images, tmp_path_factory):
    """The workdir, bundle and log of a run of one epoch without a cache, with frozen word vectors."""
    workdir, log = tmp_path_factory.mktemp("uncached"), []
    path = workdir / "vectors.txt"
    path.write_text("红色 0.5 -0.25 1\n图片 1 2 3\n的 0.1 0.2 0.3\nother 1 1 1\n", encoding="utf-8")
    config = make_config(with_unreadable_images, epochs=1, cached=False, sample_count=1)
    config = dataclasses.replace(
        config,
        text=dataclasses.replace(config.text, word_vectors=str(path)),
        model=dataclasses.replace(config.model, freeze_embeddings=True),
    )
    return workdir / "run", train(config, workdir / "run", log.append), log


def assert_left_out(workdir, log):
    text = "\n".join(log)
    for name in ("gone.png", "lost.png", "first.png"):
        assert name in text
    assert "Left out 3 lines, captions and images (3 image cannot be read)" in text
    left_out = pd.read_csv(workdir / "left_out.csv")
    assert sorted(left_out["image"]) == ["first.png", "gone.png", "lost.png"]
    assert left_out["reason"].str.fullmatch(r"image cannot be read: .*(gone|lost|first)\.png .*No such file.*").all()


def test_unreadable_images_are_left_out_and_named(make_config, with_unreadable_images, tmp_path, monkeypatch):
    def stop(*_):
        raise StopError

    monkeypatch.setattr(fit, "build_model", stop)
    log = []
    with pytest.raises(StopError):
        train(make_config(with_unreadable_images, epochs=1), tmp_path / "run", log.append)
    assert_left_out(tmp_path / "run", log)


def test_unreadable_images_are_left_out_without_a_cache(uncached):
    workdir, _, log = uncached
    assert_left_out(workdir, log)
    assert np.isfinite(history(workdir)["val_token_loss"]).all()


@pytest.mark.parametrize("cached", [True, False])
def test_a_corpus_without_a_readable_image_is_a_clear_error(make_config, tmp_path, cached):
    base = make_config(cached=cached, cache=str(tmp_path / "features"))
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, images=str(tmp_path)))
    with pytest.raises(ConfigError, match=r"^None of the \d+ images of the captions is in "):
        train(config, tmp_path / "run", quiet)
    for name in os.listdir(base.corpus.images):
        (tmp_path / name).touch()
    with pytest.raises(CorpusError, match="Nothing is left to train on"):
        train(config, tmp_path / "run", quiet)


def test_a_vocabulary_without_words_is_a_clear_error(make_config, tmp_path):
    (tmp_path / "words.txt").write_text("leap motion\n——\n", encoding="utf-8")
    text = TextConfig(min_frequency=1000, user_dictionary=str(tmp_path / "words.txt"))
    lines = []
    with pytest.raises(ConfigError, match="min_frequency"):
        train(dataclasses.replace(make_config(), text=text), tmp_path / "run", lines.append)
    [kept] = [line for line in lines if line.startswith("User dictionary ")]
    assert "1 of 2 entries are kept whole; not kept: line 2 '——'" in kept


def test_an_unknown_sample_image_is_rejected_before_encoding(make_config, tmp_path):
    config = make_config(sample_images=("nobody.png",), cache=str(tmp_path / "features"))
    with pytest.raises(ConfigError, match=r"sample_images.*nobody\.png"):
        train(config, tmp_path / "run", quiet)
    assert not (tmp_path / "features").exists()


def test_stages_that_the_sources_lack_are_rejected_before_encoding(make_config, tmp_path):
    config = make_config(stage_epochs=(2,), cache=str(tmp_path / "features"))
    with pytest.raises(ConfigError, match="stage_epochs has 1 values"):
        train(config, tmp_path / "run", quiet)
    assert not (tmp_path / "features").exists()


def test_missing_captions_are_a_clear_error(make_config, tmp_path):
    config = dataclasses.replace(make_config(), corpus=CorpusConfig((str(tmp_path / "no.tsv"),)))
    with pytest.raises(CorpusError, match=r"no\.tsv"):
        train(config, tmp_path / "run", quiet)


@pytest.mark.slow
def test_machine_translations_are_a_first_stage_and_never_references(make_config, corpus, tmp_path, monkeypatch):
    """The run is interrupted in the second stage, which the resumed run then finishes."""
    rows = [line.split("\t") for line in (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    (tmp_path / "machine.txt").write_text("\n".join(f"{image}#zhb#0 机器{text}" for image, text, _ in rows))
    base = make_config(epochs=5, stage_epochs=(2,), patience=1, sample_count=2)
    sources = (f"{tmp_path / 'machine.txt'}:stage=1,weight=0.5", f"{corpus / 'captions.tsv'}:stage=2")
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=sources))

    epochs_done, log, workdir = [], [], tmp_path / "run"
    monkeypatch.setattr(
        RunCheckpoint, "on_train_begin", lambda self, logs=None: epochs_done.append(len(self.history.epochs))
    )
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, at_epoch=2)
        train(config, workdir, log.append)
    assert epochs_done == [0, 2]
    bundle = train(config, workdir, log.append)
    assert epochs_done == [0, 2, 2]  # the resumed run trains the second stage only
    text = "\n".join(log)
    assert text.count("Stage 1: epochs 1 to 2.") == 1
    assert "train, stage 1: 32 images, 64 captions" in text
    assert "train, stage 2: 32 images, 64 captions" in text
    assert "val: 8 images, 16 captions" in text
    assert "16 machine translation, not used as a reference" in text
    left_out = pd.read_csv(workdir / "left_out.csv")
    assert set(left_out["caption"].str[:2]) == {"机器"}
    assert "机器" not in bundle.tokenizer.vocabulary  # only machine translations contain it
    assert "All captions of stage 1 have weight 0.5, so the weight has no effect." in text
    samples = (workdir / "samples.txt").read_text(encoding="utf-8")
    assert "human caption" in samples and "机器" not in samples.split("temperature")[0]
    assert len(history(workdir)) >= 3  # patience does not end the first stage


def test_word_vectors_are_in_the_bundle_and_frozen_ones_do_not_change(uncached):
    _, bundle, log = uncached
    vocabulary, tokens = bundle.tokenizer.vocabulary, np.asarray(bundle.captioner.embedding.tokens)
    np.testing.assert_array_equal(tokens[vocabulary.index("红色")], np.array([0.5, -0.25, 1], np.float32))
    np.testing.assert_array_equal(tokens[vocabulary.index("图片")], np.array([1, 2, 3], np.float32))
    assert bundle.text.word_vectors is None
    assert [line for line in log if "vectors.txt: " in line]


def test_what_is_read_differently_is_logged_before_images_are_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("file_name,caption_1,caption_2\na.jpg,a dog,it runs\nb.jpg,two cats,they sleep\n")
    (tmp_path / "photos").mkdir()
    config = Config(CorpusConfig((str(path),), images=str(tmp_path / "photos")))
    lines = []
    with pytest.raises(CaptionTxError):
        train(config, tmp_path / "run", lines.append)
    assert f"{path}: caption columns read (caption_1, caption_2): 2" in lines
    assert "warning: 100% of captions are not Chinese ('a dog', ..); set language (--language) to en." in lines


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """40 images of one color in the left or right half, a box around it, and captions that name the color."""
    folder = tmp_path_factory.mktemp("halves")
    random = np.random.default_rng(0)
    lines, boxes = ["image\tcaption\tsplit"], []
    for index in range(40):
        word, color = list(COLORS.items())[index % 4]
        left = 16 * int(random.integers(2))
        pixels = np.clip(128 + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        pixels[:, left : left + 16] = color
        Image.fromarray(pixels).save(folder / f"{index}.png")
        lines.append(f"{index}.png\t一张{word}的图片\t{'val' if index >= 32 else 'train'}")
        box = {"label": word, "box": [left / 32, 0, left / 32 + 0.5, 1]}
        boxes.append(json.dumps({"image": f"{index}.png", "boxes": [box]}, ensure_ascii=False))
    (folder / "captions.tsv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "boxes.jsonl").write_text("\n".join(boxes), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_boxes_keep_the_attention_of_their_words_inside(halves, make_config, tmp_path):
    config = make_config(halves / "captions.tsv", flips=True, cache=None)
    config = dataclasses.replace(
        config,
        corpus=dataclasses.replace(config.corpus, images=str(halves)),
        boxes=BoxesConfig((str(halves / "boxes.jsonl"),), weight=5.0, from_epoch=1),
    )
    lines = []
    train(config, tmp_path, lines.append)
    assert "Boxes: 40 boxes of 40 images." in lines
    assert any("32 of 32 images have boxes, and 32 words of their captions name one" in line for line in lines)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.pool in POOL_NAMES
    assert bundle.facts["attention"]["measured_on"] == "the boxes of 8 validation images"
    assert bundle.facts["attention"]["words"]["all"]["mass"] > 0.8
    epochs = history(tmp_path)
    assert epochs["val_box_mass"][0] < 0.7 and epochs["val_box_mass"][3] > 0.9
    outside = epochs["loss"] - epochs["token_loss"]
    assert outside[0] == pytest.approx(0, abs=1e-5) and outside[1] > 0.1, "boxes count from epoch 2"
    with pytest.raises(ConfigError, match=r"boxes.weight \(5.0, now 2.0\)"):
        train(dataclasses.replace(config, boxes=dataclasses.replace(config.boxes, weight=2.0)), tmp_path, quiet)


def test_boxes_that_no_word_names_are_rejected(halves, make_config, tmp_path):
    (tmp_path / "boxes.jsonl").write_text(
        json.dumps({"image": "0.png", "boxes": [{"label": "dog", "box": [0, 0, 1, 1]}]})
    )
    config = dataclasses.replace(
        make_config(halves / "captions.tsv", cache=None),
        corpus=CorpusConfig((str(halves / "captions.tsv"),), images=str(halves)),
        boxes=BoxesConfig((str(tmp_path / "boxes.jsonl"),)),
    )
    with pytest.raises(ConfigError, match="No word of a training caption names a box"):
        train(config, tmp_path / "run", quiet)
