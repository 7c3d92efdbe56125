"""Whole small runs: learning, stopping by force and going on, and what a run refuses."""

import contextlib
import dataclasses
import re
import signal
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from caption_tx.config import Config, CorpusConfig, ModelConfig, TextConfig, TrainingConfig, dump_config, load_config
from caption_tx.data.preparation import release_memory, segment_corpus, tokenize_corpus
from caption_tx.errors import CaptionTxError, ConfigError, CorpusError
from caption_tx.training import fit
from caption_tx.training.callbacks import RunCheckpoint
from caption_tx.training.fit import Stage, learning_rate_schedule, plan_stages, train

COLORS = {"红色": (220, 30, 30), "绿色": (30, 190, 40), "蓝色": (30, 50, 220), "黄色": (230, 220, 40)}
FULL = {"tensorboard": True, "sample_count": 2}
SHAPE = {"epochs": 4, "batch_size": 4, "patience": 4, "learning_rate": 0.01, "warmup_epochs": 0.5, "sample_count": 0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """40 pictures of one color each (and a bit of noise), two captions a picture; 8 of them for validation."""
    folder = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    lines = ["image\tcaption\tsplit"]
    for number in range(40):
        word, color = list(COLORS.items())[number % 4]
        pixels = np.clip(np.array(color) + random.normal(0, 12, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = "val" if number >= 32 else "train"
        lines += [f"{number}.png\t一张{word}的图片\t{split}", f"{number}.png\t整个画面都是{word}的\t{split}"]
    (folder / "captions.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def make_config(corpus, backbone_config, tmp_path_factory):
    """A small run's settings; all runs share one feature cache."""
    cache = tmp_path_factory.mktemp("features")

    def make(**training):
        fixed = {"tensorboard": False, "cache": str(cache), "label_smoothing": 0.0, "precision": "float32"}
        training = SHAPE | fixed | training
        return Config(
            CorpusConfig((str(corpus / "captions.tsv"),), images=str(corpus)),
            TextConfig(min_frequency=1),
            backbone_config,
            ModelConfig(32, 48, 1, 2, 12, 0.0, 0.0, 0.0),
            TrainingConfig(**training),
        )

    return make


@pytest.fixture(scope="module")
def log():
    return []


@pytest.fixture(scope="module")
def whole(make_config, tmp_path_factory, log):
    """The workdir of an uninterrupted run, and its bundle."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, train(make_config(**FULL), workdir, log.append)


def history(workdir):
    return pd.read_csv(workdir / "log.csv")


def test_loss_falls_below_the_marginal_entropy(whole, log):
    marginal = float(re.search(r"marginal entropy ([\d.]+)", "\n".join(log))[1])
    assert 1 < marginal < 4
    losses = history(whole[0])["val_token_loss"]
    assert losses.min() < marginal - 1
    assert losses.iloc[-1] < losses.iloc[0]


def test_workdir_holds_all_that_a_run_leaves(whole):
    workdir, _ = whole
    for name in ("config.toml", "log.csv", "curves.png", "samples.txt", "checkpoint.npz", "tensorboard", "bundle"):
        assert (workdir / name).exists(), name
    assert history(workdir)["epoch"].tolist() == [1, 2, 3, 4]
    assert list((workdir / "tensorboard").rglob("events*"))
    assert (workdir / "samples.txt").read_text(encoding="utf-8").count("Epoch") == 4
    assert not list(workdir.glob("*.tmp")) + list(workdir.glob("*.old"))


def test_log_has_parameters_vocabulary_and_the_best_epoch(whole, log):
    text = "\n".join(log)
    for words in ("Total params", "Vocabulary: ", "train: 32 images, 64 captions", "Best epoch "):
        assert words in text


def test_bundle_is_of_the_best_epoch_and_names_colors(whole, corpus):
    from caption_tx.data.features.backbone import dequantize
    from caption_tx.data.images.decoding import read_image
    from caption_tx.inference.search.decode import decode

    workdir, bundle = whole
    assert bundle.facts["val_token_loss"] == pytest.approx(history(workdir)["val_token_loss"].min())
    pictures = np.stack([read_image(str(corpus / f"{number}.png"), 32)[1] for number in range(32, 40)])
    encoded = np.asarray(dequantize(bundle.load_backbone().encode(pictures)))
    texts = [caption.text for [caption] in decode(bundle.captioner, encoded, bundle.tokenizer)]
    right = [list(COLORS)[number % 4] in text for number, text in enumerate(texts)]
    assert sum(right) >= 6, texts


def test_the_same_command_after_the_end_does_not_train(whole, make_config):
    workdir, bundle = whole
    before = history(workdir)
    again = train(make_config(**FULL), workdir, lambda text: None)
    pd.testing.assert_frame_equal(history(workdir), before)
    np.testing.assert_array_equal(again.captioner.get_weights()[0], bundle.captioner.get_weights()[0])


@pytest.mark.parametrize("cached", [True, False])
def test_a_run_in_lanes_learns_what_one_without_learns(
    whole, make_config, tmp_path, run_python, parallel_chunks, cached
):
    """In a process of its own, where TensorFlow's threads are still free: these here have theirs already."""
    (tmp_path / "recipe.toml").write_text(dump_config(make_config(cached=cached)), encoding="utf-8")
    code = "import sys\nfrom caption_tx import threads\nfrom caption_tx.config import load_config\n"
    code += "threads.configure_threads()\n"
    code += "from caption_tx.training.fit import train\ntrain(load_config(sys.argv[1]), sys.argv[2])\n"
    process = run_python(code + "print('lanes', threads.parallel_chunks())", tmp_path / "recipe.toml", tmp_path / "run")
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.splitlines()[-1] == f"lanes {parallel_chunks}"
    for column in ("loss", "val_token_loss"):
        found, wanted = history(tmp_path / "run")[column], history(whole[0])[column]
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_run_keeps_the_precision_that_it_was_begun_in(make_config, tmp_path, monkeypatch):
    """Where nobody chose one it is that of the first machine, also on one whose processor would rather have another."""
    for epochs, machine in ((1, "mixed_bfloat16"), (2, "float32")):
        monkeypatch.setattr(fit, "resolve_precision", lambda machine=machine: machine)
        said = []
        config = make_config(epochs=2, precision="auto")
        if epochs == 1:
            monkeypatch.setattr(RunCheckpoint, "on_epoch_begin", stop_after_one)
        with contextlib.suppress(KeyboardInterrupt):
            train(config, tmp_path, said.append)
        monkeypatch.undo()
        assert any(line.startswith("Computing in mixed_bfloat16") for line in said)
    assert load_config(tmp_path / "config.toml").training.precision == "mixed_bfloat16"
    assert len(history(tmp_path)) == 2
    with pytest.raises(ConfigError, match="other settings"):
        train(make_config(epochs=2, precision="float32"), tmp_path, said.append)


def stop_after_one(self, epoch, logs=None):
    if epoch == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize("change", [{"seed": 3}, {"epochs": 9}])
def test_other_settings_in_the_same_workdir_are_refused(whole, make_config, change):
    with pytest.raises(ConfigError, match="other settings"):
        train(make_config(**(FULL | change)), whole[0], lambda text: None)


def test_other_captions_in_the_same_workdir_are_refused(make_config, tmp_path, corpus):
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()
    source = tmp_path / "captions.tsv"
    base = make_config(epochs=1)
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=(str(source),)))
    source.write_text("\n".join(lines), encoding="utf-8")
    train(config, tmp_path / "run", lambda text: None)
    source.write_text("\n".join(lines[:-30]), encoding="utf-8")
    with pytest.raises(CaptionTxError, match="other captions"):
        train(config, tmp_path / "run", lambda text: None)


@pytest.mark.parametrize("change", ["images", "val"])
def test_captions_that_moved_or_changed_in_validation_are_other_captions(make_config, tmp_path, corpus, change):
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()
    source = tmp_path / "captions.tsv"
    base = make_config(epochs=1)
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=(str(source),)))
    source.write_text("\n".join(lines), encoding="utf-8")
    train(config, tmp_path / "run", lambda text: None)
    if change == "images":  # the same words in the same order under other pictures
        names = [line.split("\t")[0] for line in lines[1:65]]
        names = names[2:] + names[:2]
        lines[1:65] = ["\t".join([name, *line.split("\t")[1:]]) for name, line in zip(names, lines[1:65], strict=True)]
    else:
        lines[-1] = "39.png\t整个图片\tval"
    source.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(CaptionTxError, match="other captions"):
        train(config, tmp_path / "run", lambda text: None)


def test_without_validation_the_best_epoch_is_of_the_last_stage(make_config, tmp_path, corpus):
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:65]
    (tmp_path / "easy.txt").write_text("\n".join(f"{line.split(chr(9))[0]}#zhb#0 图片" for line in lines))
    (tmp_path / "hard.tsv").write_text("image\tcaption\tsplit\n" + "\n".join(lines), encoding="utf-8")
    base = make_config(epochs=4, stage_epochs=(3,))
    sources = (f"{tmp_path / 'easy.txt'}:stage=1", f"{tmp_path / 'hard.tsv'}:stage=2")
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=sources, val_fraction=0.0))
    bundle = train(config, tmp_path / "run", lambda text: None)
    losses = history(tmp_path / "run")["token_loss"]
    assert losses[2] < losses[3]
    assert bundle.facts["epoch"] == 4


KILLED = """
import os, signal, sys
from caption_tx.config import load_config
from caption_tx.training.callbacks import RunCheckpoint
from caption_tx.training.fit import train

def die_in_the_third_epoch(self, batch, logs=None):
    if len(self.history) == 2 and batch == 3:
        os.kill(os.getpid(), signal.SIGKILL)

RunCheckpoint.on_train_batch_end = die_in_the_third_epoch
train(load_config(sys.argv[1]), sys.argv[2])
"""


def test_killed_run_goes_on_from_its_epoch_and_ends_like_an_uninterrupted_one(
    whole, make_config, run_python, tmp_path, monkeypatch
):
    config = make_config(**FULL)
    (tmp_path / "recipe.toml").write_text(dump_config(config), encoding="utf-8")
    workdir = tmp_path / "run"
    process = run_python(KILLED, tmp_path / "recipe.toml", workdir)
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    assert history(workdir)["epoch"].tolist() == [1, 2]
    killed = history(workdir)

    begun = []
    monkeypatch.setattr(RunCheckpoint, "on_epoch_begin", lambda self, epoch, logs=None: begun.append(epoch))
    told = []
    train(config, workdir, told.append)
    assert begun == [2, 3]
    assert any("after epoch 2" in text for text in told)
    resumed, uninterrupted = history(workdir), history(whole[0])
    assert resumed["epoch"].tolist() == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(resumed[:2], killed)
    assert abs(resumed["val_token_loss"].iloc[-1] - uninterrupted["val_token_loss"].iloc[-1]) < 0.1


def test_scores_of_free_running_captions_choose_the_best_epoch_also_after_a_restart(make_config, tmp_path, monkeypatch):
    config = make_config(epochs=3, patience=3, score_every=2, score_images=5, monitor="cider", tensorboard=True)
    begin = RunCheckpoint.on_epoch_begin

    def killed(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        return begin(self, epoch, logs)

    workdir, told = tmp_path / "run", []
    with monkeypatch.context() as patch:
        patch.setattr(RunCheckpoint, "on_epoch_begin", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, workdir, told.append)
    bundle = train(config, workdir, told.append)
    found = history(workdir)
    assert found["val_cider"].notna().tolist() == [False, True, True]  # the last epoch always has a score
    assert found["val_distinct"].dropna().between(1, 5).all()
    assert sum("scores of 5 validation images: BLEU-4 " in text for text in told) == 2
    best = found["val_cider"].max()
    assert bundle.facts["val_cider"] == best
    assert any(f"val_cider {best:.4f}" in text for text in told)
    events = b"".join(path.read_bytes() for path in (workdir / "tensorboard" / "validation").glob("events*"))
    assert b"epoch_cider" in events


@pytest.mark.parametrize(
    ("lacking", "message"),
    [("captions", "needs captions of people in split 'val'"), ("scorer", r"pip install 'caption_tx\[eval\]'")],
)
def test_scores_that_cannot_be_had_are_refused_before_anything_is_encoded(
    make_config, corpus, tmp_path, monkeypatch, lacking, message
):
    config = make_config(score_every=2, cache=str(tmp_path / "features"))
    if lacking == "captions":
        text = (corpus / "captions.tsv").read_text(encoding="utf-8").replace("\tval", "\ttrain")
        source = tmp_path / "captions.tsv"
        source.write_text(text, encoding="utf-8")
        config = dataclasses.replace(config, corpus=dataclasses.replace(config.corpus, sources=(str(source),)))
    else:
        monkeypatch.setitem(sys.modules, "pycocoevalcap.bleu.bleu_scorer", None)
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", lambda text: None)
    assert not (tmp_path / "features").exists()


def test_run_without_a_cache_learns_alike(whole, make_config, tmp_path):
    train(make_config(cached=False, score_every=4, score_images=3), tmp_path / "run", lambda text: None)
    assert not (tmp_path / "run" / "features").exists()
    assert history(tmp_path / "run")["val_bleu4"].notna().tolist() == [False, False, False, True]
    found, wanted = history(tmp_path / "run")["val_token_loss"], history(whole[0])["val_token_loss"]
    assert abs(found.iloc[-1] - wanted.iloc[-1]) < 0.15


@pytest.mark.parametrize("cached", [True, False])
def test_unreadable_pictures_are_left_out_and_named(make_config, corpus, tmp_path, cached):
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()
    lines += ["gone.png\t一张红色的图片\ttrain", "lost.png\t一张红色的图片\tval"]
    lines[1:1] = ["first.png\t一张红色的图片\tval"]  # would be the first sample
    source = tmp_path / "captions.tsv"
    source.write_text("\n".join(lines), encoding="utf-8")
    base = make_config(epochs=1, cached=cached)
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=(str(source),)))
    told = []
    train(config, tmp_path / "run", told.append)
    text = "\n".join(told)
    for name in ("gone.png", "lost.png", "first.png"):
        assert name in text
    assert "Left out 3 lines, captions and images (3 image cannot be read)" in text
    left_out = pd.read_csv(tmp_path / "run" / "left_out.csv")
    assert sorted(left_out["image"]) == ["first.png", "gone.png", "lost.png"]
    assert left_out["reason"].str.fullmatch(r"image cannot be read: .*(gone|lost|first)\.png .*No such file.*").all()
    assert np.isfinite(history(tmp_path / "run")["val_token_loss"]).all()


@pytest.mark.parametrize("cached", [True, False])
def test_corpus_without_a_readable_picture_is_a_clear_error(make_config, tmp_path, cached):
    base = make_config(cached=cached, cache=str(tmp_path / "features"))
    config = dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, images=str(tmp_path)))
    with pytest.raises(CorpusError, match="Nothing is left to train on"):
        train(config, tmp_path / "run", lambda text: None)


def test_words_seen_too_seldom_are_a_clear_error(make_config, tmp_path):
    config = dataclasses.replace(make_config(), text=TextConfig(min_frequency=1000))
    with pytest.raises(ConfigError, match="min_frequency"):
        train(config, tmp_path / "run", lambda text: None)


def test_unknown_sample_image_is_a_clear_error(make_config, tmp_path):
    config = make_config(sample_images=("nobody.png",), cache=str(tmp_path / "features"))
    with pytest.raises(ConfigError, match=r"sample_images.*nobody\.png"):
        train(config, tmp_path / "run", lambda text: None)
    assert not (tmp_path / "features").exists()  # before anything is encoded


def test_stages_that_the_sources_do_not_have_are_refused_before_anything_is_encoded(make_config, tmp_path):
    config = make_config(stage_epochs=(2,), cache=str(tmp_path / "features"))
    with pytest.raises(ConfigError, match="stage_epochs names the epochs of 1 stages"):
        train(config, tmp_path / "run", lambda text: None)
    assert not (tmp_path / "features").exists()


def test_missing_captions_are_a_clear_error(make_config, tmp_path):
    config = dataclasses.replace(make_config(), corpus=CorpusConfig((str(tmp_path / "no.tsv"),)))
    with pytest.raises(CorpusError, match=r"no\.tsv"):
        train(config, tmp_path / "run", lambda text: None)


def test_what_is_left_out_is_listed_with_its_reason():
    from caption_tx.data.text.segmentation import Segmenter

    table = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d", "d", "e"],
            "caption": ["a dog", "!!!", "a cat", "dog machine", "a dog man wrote", "never read"],
            "split": ["train", "train", "val", "val", "val", "test"],
            "origin": ["machine", "human", "human", "machine", "human", "human"],
            "weight": np.float32(1),
            "stage": 1,
            "source": "x",
            "line": range(1, 7),
        }
    )
    table.attrs = {"skipped": [("x", 9, "blank line")], "left_out": ["z.jpg"]}
    words = segment_corpus(table, Segmenter(TextConfig(language="en")), {"c": "c is empty (0 bytes)."})
    rows, lists = words.select("train")
    assert (rows["image"].tolist(), list(lists)) == (["a"], [["a", "dog"]])
    rows, lists = words.select("val")
    assert (rows["caption"].tolist(), list(lists)) == (["a dog man wrote"], [["a", "dog", "man", "wrote"]])
    assert len(words.select("test")[0]) == 0
    found = words.left_out.astype(object).where(words.left_out.notna(), None)
    assert found[["line", "image", "reason"]].to_numpy().tolist() == [
        [9, None, "blank line"],
        [None, "z.jpg", "image in no split list"],
        [2, "b", "no words in the caption"],
        [3, "c", "image cannot be read: c is empty (0 bytes)."],
        [4, "d", "machine translation, not used as a reference"],
    ]


def test_the_vocabulary_is_that_of_the_last_stage():
    from caption_tx.data.text.segmentation import Segmenter

    table = pd.DataFrame(
        {
            "image": ["a", "a", "b", "b", "c"],
            "caption": ["one hound", "one hound", "a dog", "one dog", "a cat"],
            "split": ["train"] * 4 + ["val"],
            "origin": ["machine", "machine", "human", "human", "human"],
            "stage": [1, 1, 2, 2, 2],
        }
    ).assign(weight=np.float32(1), source="x", line=range(5))
    config = Config(text=TextConfig(language="en", min_frequency=1))
    prepared = tokenize_corpus(config, segment_corpus(table, Segmenter(config.text), {}), lambda text: None)
    assert sorted(prepared.tokenizer.vocabulary[4:]) == ["a", "dog", "one"]
    unknown = prepared.tokenizer.unk_token_id
    assert (prepared.train[1].tokens.values == unknown).sum() == 2
    assert (prepared.train[2].tokens.values == unknown).sum() == 0
    assert prepared.label_counts[prepared.tokenizer.vocabulary.index("one")] == 3


def test_mixed_stages_hold_later_captions_too_and_mark_those_of_machines():
    from caption_tx.data.text.segmentation import Segmenter

    table = pd.DataFrame(
        {
            "image": ["a", "a", "b", "b"],
            "caption": ["one hound", "a dog", "one dog", "a cat"],
            "split": ["train"] * 3 + ["val"],
            "origin": ["machine", "human", "machine", "human"],
            "stage": [1, 2, 1, 2],
        }
    ).assign(weight=np.float32(1), source="x", line=range(4))
    text = TextConfig(language="en", min_frequency=1)
    words = segment_corpus(table, Segmenter(text), {})
    mixed, apart = (
        tokenize_corpus(Config(text=text, training=TrainingConfig(mix_stages=mix)), words, lambda text: None)
        for mix in (True, False)
    )
    assert sorted(mixed.tokenizer.vocabulary[4:]) == ["a", "dog"]
    a, dog = (mixed.tokenizer.vocabulary.index(word) for word in ("a", "dog"))
    start, end, unknown = mixed.tokenizer.start_token_id, mixed.tokenizer.end_token_id, mixed.tokenizer.unk_token_id
    assert mixed.train[1].images == ("a", "b")
    assert [row.tolist() for row in mixed.train[1].tokens] == [
        [start, unknown, unknown, unknown, end],  # the mark, then its words
        [start, a, dog, end],
        [start, unknown, unknown, dog, end],
    ]
    assert [row.tolist() for row in mixed.train[2].tokens] == [[start, a, dog, end]]
    assert [row.tolist() for row in apart.train[1].tokens] == [
        [start, unknown, unknown, end],  # alone they need no mark
        [start, unknown, dog, end],
    ]
    for prepared in (mixed, apart):
        assert [row.tolist() for row in prepared.val.tokens] == [[start, a, unknown, end]]
        assert prepared.label_counts[unknown] == 0


def test_captions_with_a_named_problem_are_left_out_when_asked():
    from caption_tx.data.text.segmentation import Segmenter

    captions = ["a dog on a hill", "see www.dogs.com/now", "a <b>big</b> www.dogs.com", "two cats"]
    table = pd.DataFrame({"image": list("abcd"), "caption": captions, "split": "train", "origin": "human"})
    table = table.assign(weight=np.float32(1), stage=1, source="x", line=range(1, 5))
    segmenter = Segmenter(TextConfig(language="en"))
    assert len(segment_corpus(table, segmenter, {}).table) == 4
    words = segment_corpus(table, segmenter, {}, ["html"])
    assert words.left_out[["line", "reason"]].to_numpy().tolist() == [[3, "html"]]
    assert words.table["image"].tolist() == ["a", "b", "d"]
    assert segment_corpus(table, segmenter, {}, ["url"]).left_out["line"].tolist() == [2, 3]  # it is HTML too


@pytest.mark.parametrize(
    ("stage_epochs", "numbers", "ends"),
    [((), [1], [10]), ((), [1, 2], [3, 10]), ((4,), [2, 7], [4, 10]), ((), [1, 2, 3], [2, 4, 10])],
)
def test_epochs_are_divided_among_the_stages(stage_epochs, numbers, ends):
    config = TrainingConfig(epochs=10, stage_epochs=stage_epochs)
    stages = plan_stages(config, {number: 10 * number for number in numbers})
    assert [stage.end for stage in stages] == ends
    assert [stage.begin for stage in stages] == [0, *ends[:-1]]
    assert [(stage.number, stage.steps) for stage in stages] == [(number, 10 * number) for number in numbers]


@pytest.mark.parametrize(
    ("epochs", "stage_epochs", "numbers", "message"),
    [
        (10, (4,), [1], "epochs of 1 stages, but the sources have stages 1"),
        (10, (4,), [1, 2, 3], "epochs of 1 stages, but the sources have stages 1, 2, 3"),
        (2, (), [1, 2, 3], r"training\.epochs \(2\)"),
    ],
)
def test_stages_that_do_not_fit_are_refused(epochs, stage_epochs, numbers, message):
    with pytest.raises(ConfigError, match=message):
        plan_stages(TrainingConfig(epochs=epochs, stage_epochs=stage_epochs), dict.fromkeys(numbers, 5))


@pytest.fixture(scope="module")
def staged(make_config, corpus, tmp_path_factory):
    """Settings of a run on machine translations first and people's captions after, the first half of weight."""
    folder = tmp_path_factory.mktemp("staged")
    lines = (corpus / "captions.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    (folder / "machine.txt").write_text("\n".join(f"{image}#zhb#0 机器{text}" for image, text, _ in rows))
    base = make_config(epochs=5, stage_epochs=(2,), patience=1, sample_count=2)
    sources = (f"{folder / 'machine.txt'}:stage=1,weight=0.5", f"{corpus / 'captions.tsv'}:stage=2")
    return dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, sources=sources))


def test_translated_captions_first_and_never_as_references(staged, tmp_path, monkeypatch, run_python):
    seen = []
    monkeypatch.setattr(RunCheckpoint, "on_train_begin", lambda self, logs=None: seen.append(len(self.history)))
    told = []
    bundle = train(staged, tmp_path / "run", told.append)
    text = "\n".join(told)
    assert seen == [0, 2]
    assert "Stage 1: epochs 1 to 2." in text
    assert "train, stage 1: 32 images, 64 captions" in text
    assert "train, stage 2: 32 images, 64 captions" in text
    assert "val: 8 images, 16 captions" in text
    assert "16 machine translation, not used as a reference" in text
    left_out = pd.read_csv(tmp_path / "run" / "left_out.csv")
    assert set(left_out["caption"].str[:2]) == {"机器"}
    assert "机器" not in bundle.tokenizer.vocabulary  # people never say it
    assert "All captions of stage 1 weigh 0.5, so the weight changes nothing." in text
    samples = (tmp_path / "run" / "samples.txt").read_text(encoding="utf-8")
    assert "a person wrote" in samples and "机器" not in samples.split("temperature")[0]
    assert len(history(tmp_path / "run")) >= 3  # patience does not end the first stage

    (tmp_path / "recipe.toml").write_text(dump_config(staged), encoding="utf-8")
    process = run_python(KILLED, tmp_path / "recipe.toml", tmp_path / "killed")
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    seen.clear()
    train(staged, tmp_path / "killed", lambda text: None)
    assert seen == [2]  # the second stage alone


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0, 100.0])
def test_learning_rate_rises_to_its_peak_and_ends_at_zero(warmup):
    stages = [Stage(1, 0, 2, 10), Stage(2, 2, 3, 20)]  # 40 steps, the first epoch 10 of them
    schedule = learning_rate_schedule(TrainingConfig(epochs=3, warmup_epochs=warmup, learning_rate=0.1), stages)
    rates = np.array([float(schedule(step)) for step in range(41)])
    peak = min(round(warmup * 10), 39)
    assert rates.argmax() == peak
    assert rates.max() == pytest.approx(0.1)
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_word_vectors_of_a_file_are_in_the_bundle_and_frozen_ones_as_they_were(make_config, corpus, tmp_path, log):
    path = tmp_path / "vectors.txt"
    path.write_text("红色 0.5 -0.25 1\n图片 1 2 3\n的 0.1 0.2 0.3\nother 1 1 1\n", encoding="utf-8")
    config = make_config(epochs=1)
    config = dataclasses.replace(
        config,
        text=dataclasses.replace(config.text, word_vectors=str(path)),
        model=dataclasses.replace(config.model, freeze_embeddings=True),
    )
    bundle = train(config, tmp_path / "run", log.append)
    vocabulary, tokens = bundle.tokenizer.vocabulary, np.asarray(bundle.captioner.embedding.tokens)
    np.testing.assert_array_equal(tokens[vocabulary.index("红色")], np.array([0.5, -0.25, 1], np.float32))
    np.testing.assert_array_equal(tokens[vocabulary.index("图片")], np.array([1, 2, 3], np.float32))
    assert bundle.text.word_vectors is None
    assert [line for line in log if "vectors.txt: 3 wide, for 3 of" in line]


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])  # no library; not glibc; Windows
def test_memory_that_cannot_be_given_back_stops_nothing(error, monkeypatch):
    asked = []

    def refuse(name):
        asked.append(name)
        raise error("not here")

    monkeypatch.setattr("ctypes.CDLL", refuse)
    release_memory()
    assert asked == [None]
