"""What small runs read, leave out and reject: images, captions, scores, word vectors and boxes."""

import dataclasses
import json
import os
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_runs import COLORS, history, interrupt, quiet

from caption_tx.bundle import load_bundle
from caption_tx.config import POOL_NAMES, BoxesConfig, Config, CorpusConfig, TextConfig
from caption_tx.errors import CaptionTxError, ConfigError, CorpusError
from caption_tx.training import fit
from caption_tx.training.checkpoint import RunCheckpoint
from caption_tx.training.fit import train

pytestmark = pytest.mark.usefixtures("shared_backbones")


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
    measured_on = "the boxes of 8 validation images and, by covering what words attended to, on 8 images"
    assert bundle.facts["attention"]["measured_on"] == measured_on
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
