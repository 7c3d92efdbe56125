"""Small complete runs: learning, fine-tuning, and resuming killed and finished runs."""

import dataclasses
import os
import re
import shutil
import signal

import keras
import numpy as np
import pandas as pd
import pytest
from small_runs import COLORS, history, interrupt, quiet

from caption_tx.config import ModelConfig, dump_config
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import BundleError, CaptionTxError, ConfigError
from caption_tx.inference.search.decode import decode
from caption_tx.training.checkpoint import RunCheckpoint
from caption_tx.training.fit import train

pytestmark = pytest.mark.usefixtures("shared_backbones")

FULL = {"tensorboard": True, "sample_count": 2}


@pytest.fixture(scope="module")
def log():
    return []


@pytest.fixture(scope="module")
def complete(make_config, backbone, tmp_path_factory, log):
    """The workdir of an uninterrupted run, and its bundle. Its backbone has been built before, unlike in a process of
    its own, which must not change the random weights."""
    workdir = tmp_path_factory.mktemp("complete")
    return workdir, train(make_config(**FULL), workdir, log.append)


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
