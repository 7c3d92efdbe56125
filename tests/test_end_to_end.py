"""The whole pipeline on rendered scenes, where several tests share one short training run, and on photographs."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from caption_tx import demo
from caption_tx.cli import main
from caption_tx.config import BackboneConfig, Config, CorpusConfig, TextConfig, TrainingConfig
from caption_tx.data.scenes.corpus import write_scenes
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def scene_run(tmp_path_factory):
    """Trains briefly on a few scenes; returns (workdir, image folder, log lines)."""
    from caption_tx.training.fit import train

    folder = tmp_path_factory.mktemp("scenes")
    files = write_scenes(folder, {"train": 96, "val": 16, "test": 4})
    config = demo.demo_config(files, "zh")
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=3))
    lines: list[str] = []
    train(config, folder / "run", lines.append)
    return folder / "run", files.images, lines


@pytest.fixture(scope="module")
def bundle(scene_run):
    return str(scene_run[0] / "bundle")


@pytest.mark.slow
def test_training_logs_its_progress_and_writes_its_records(scene_run):
    workdir, _, lines = scene_run
    text = "\n".join(lines)
    marginal = float(re.search(r"marginal entropy (\d+\.\d+)", text)[1])
    history = pd.read_csv(workdir / "log.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    assert history["val_token_loss"].iloc[-1] < marginal
    assert "The captioner has " in text
    for temperature in ("temperature 0 ", "temperature 0.5", "temperature 1 "):
        assert text.count(temperature) == 3 * 2  # epochs, images
    for name in ("config.toml", "curves.png", "samples.txt", "checkpoint.npz", "bundle/vocabulary.txt"):
        assert (workdir / name).stat().st_size > 0
    assert list((workdir / "tensorboard").rglob("events*"))
    assert not (workdir / "left_out.csv").exists()  # unused test images are not reported


@pytest.mark.slow
def test_captions_from_the_command_line(scene_run, bundle, capsys, tmp_path):
    images = scene_run[1]
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    names = [str(images / "test-000000.png"), str(tmp_path), str(images / "test-000001.png")]
    assert main(["caption", *names, "--bundle", bundle, "--json"]) == 0
    printed = capsys.readouterr()
    documents = json.loads(printed.out)
    assert [document["image"] for document in documents] == [names[0], str(tmp_path / "bad.jpg"), names[2]]
    assert "bad.jpg" in documents[1]["error"] and "bad.jpg" in printed.err
    for document in (documents[0], documents[2]):
        assert re.fullmatch(r"[\u4e00-\u9fff]+", document["caption"])
        assert "".join(document["words"]) == document["caption"]
        assert all(value <= 0 for value in document["log_probabilities"])

    assert main(["caption", names[0], "--bundle", bundle, "--temperature", "1", "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith(names[0] + "\t")


@pytest.mark.slow
def test_attention_maps_from_the_command_line_and_from_python(scene_run, bundle, tmp_path):
    import caption_tx
    from caption_tx.inference.attention.maps import AttentionMaps

    image = str(scene_run[1] / "test-000001.png")
    out = tmp_path / "maps.npz"
    assert main(["explain", image, "--bundle", bundle, "--caption", "一个红色的龘形", "--out", str(out)]) == 0
    maps = AttentionMaps.load_npz(out)
    captioner = caption_tx.load(bundle)
    expected = captioner.explain(image, "一个红色的龘形")
    assert maps.scores.shape == (2, 4, len(maps.words), 7, 7)
    np.testing.assert_allclose(maps.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(maps.scores.sum(axis=(3, 4)), 1, atol=1e-5)
    assert maps.words[-1] == "[END]"
    assert any(word.endswith("(?)") for word in maps.titles)  # 龘 is out of vocabulary

    caption = captioner.caption(image, temperature=0.5, seed=1)
    sampled = captioner.explain(image, caption)
    np.testing.assert_allclose(sampled.log_probabilities, caption.log_probabilities, atol=1e-4)
    assert sampled.figure(layer=-1, head=0).axes
    figure = tmp_path / "maps.png"
    assert main(["explain", image, "--bundle", bundle, "--caption", "一个红色的圆形", "--out", str(figure)]) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_trained_model_samples_the_same_captions_in_any_batch(scene_run, bundle, monkeypatch):
    """Real features, trained weights, and seeds that depend on the content of the images."""
    import caption_tx
    from caption_tx.config import DecodingOptions
    from caption_tx.inference.search import decode

    monkeypatch.setattr(decode, "BATCH_SIZES", (1, 4, 16, 32))  # `loaded_once` leaves one
    captioner, images = caption_tx.load(bundle), sorted(scene_run[1].glob("*.png"))[:40]
    options = DecodingOptions(temperature=1.0, seed=4, top_k=8, top_p=0.9)

    def sample(images, batch_size):
        return {name: caption.token_ids for name, [caption] in captioner.captions(images, options, batch_size)}

    expected = sample(images, 64)
    assert len(expected) == 40
    assert len(set(expected.values())) > 20
    assert sample(images[::-1], 7) == expected
    assert sample(images[:5], 1) == {str(image): expected[str(image)] for image in images[:5]}


@pytest.mark.slow
def test_search_options_from_the_command_line(scene_run, bundle, capsys):
    image = str(scene_run[1] / "test-000000.png")
    search = ["--beam-width", "2", "--n-best", "2", "--prefix", "一个", "--force-words", "红色", "--json"]
    assert main(["caption", image, "--bundle", bundle, *search]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["rank"], second["rank"]) == (0, 1)
    assert first["score"] >= second["score"]
    for document in (first, second):
        assert document["words"][0] == "一个"
        assert "红色" in document["words"]
    assert main(["caption", image, "--bundle", bundle, "--beam-width", "2", "--force-words", "龘，红色"]) == 1
    assert "'龘'" in capsys.readouterr().err
    assert main(["caption", image, "--bundle", bundle, "--n-best", "2"]) == 1
    assert "n_best" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["caption", "nowhere.png", "--bundle", "{bundle}"], "nowhere.png"),
        (["caption", "{image}", "--bundle", "nowhere"], "nowhere"),
        (["caption", "{image}", "--bundle", "{bundle}", "--temperature", "-1"], "temperature"),
        (["caption", "{image}", "--bundle", "{bundle}", "--max-length", "4000"], "max_length"),
        (["explain", "{image}", "--bundle", "{bundle}", "--caption", "。", "--out", "maps.png"], "no words"),
        (["train", "nowhere.csv", "--images", ".", "--workdir", "run"], "nowhere.csv"),
        (["train", "--images", ".", "--workdir", "run"], "caption source"),
        (["train", "a.csv", "--images", "nowhere", "--workdir", "run"], "nowhere"),
        (["train", "a.csv", "--images", ".", "--workdir", "run", "--set", "model.size=3"], "size"),
        (["train", "a.csv", "--images", ".", "--workdir", "run", "--set", "model"], "KEY=VALUE"),
        (["train", "a.csv", "--images", ".", "--workdir", "{image}"], "File exists"),
        (["train", "a.csv", "--images", ".", "--workdir", "run", "--seed", "-1"], "training.seed"),
        (["features", "a.csv", "--cache", "cache"], "--images"),
        (["corpus", "nowhere.csv"], "nowhere.csv"),
    ],
)
@pytest.mark.slow
def test_an_invalid_request_is_one_line_and_exit_code_1(
    scene_run, bundle, arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    image = str(scene_run[1] / "test-000000.png")
    code = main([text.format(bundle=bundle, image=image) for text in arguments])
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.startswith("caption-tx: ") and printed.err.count("\n") == 1


@pytest.mark.slow
def test_corpus_and_features_from_the_command_line(scene_run, capsys, tmp_path):
    captions = str(scene_run[1].parent / "captions.tsv")
    assert main(["corpus", captions, "--json"]) == 0
    statistics = json.loads(capsys.readouterr().out)
    assert (statistics["images"], statistics["captions"]) == (116, 464)
    encode = ["features", captions, "--images", str(scene_run[1]), "--cache", str(tmp_path / "cache")]
    small = ["--backbone-weights", "scenes", "--alpha", "0.25"]
    assert main([*encode, *small]) == 0
    assert "116 images" in capsys.readouterr().out
    assert main([*encode, *small, "--image-size", "96"]) == 1
    error = capsys.readouterr().err
    assert "image_size" in error and "224" in error and "96" in error


def test_help_of_every_command_loads_no_heavy_package(run_python):
    process = run_python("""
import contextlib, io, sys
from caption_tx.cli import main
for command in ([], ["demo"], ["corpus"], ["features"], ["train"], ["tune"], ["caption"], ["evaluate"], ["explain"]):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            main([*command, "--help"])
        except SystemExit as stop:
            assert stop.code == 0
    assert printed.getvalue().startswith("usage: caption-tx"), command
heavy = [name for name in ("tensorflow", "keras", "pandas", "matplotlib") if name in sys.modules]
assert not heavy, heavy
""")
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
def test_photographs_with_chinese_captions(shared, tmp_path):
    from caption_tx import load
    from caption_tx.data.corpus.table import read_corpus
    from caption_tx.training.fit import train

    data = shared / "data" / "flickr8k"
    table = read_corpus(data / "flickr8kzhc.caption.txt")
    parts = [
        table[table["image"].isin(table.loc[table["split"] == split, "image"].unique()[:count])]
        for split, count in (("train", 120), ("val", 24))
    ]
    pd.concat(parts)[["image", "caption", "split"]].to_csv(tmp_path / "captions.csv", index=False)
    config = Config(
        corpus=CorpusConfig(sources=(str(tmp_path / "captions.csv"),), images=str(data / "images")),
        text=TextConfig(min_frequency=2),
        backbone=BackboneConfig(alpha=0.25, weights=str(shared / "weights" / "mobilenet_0_25_224_no_top.weights.h5")),
        training=TrainingConfig(epochs=3, learning_rate=2e-3, batch_size=8, sample_count=0, tensorboard=False),
    )
    lines: list[str] = []
    train(config, tmp_path / "run", lines.append)
    marginal = float(re.search(r"marginal entropy (\d+\.\d+)", "\n".join(lines))[1])
    history = pd.read_csv(tmp_path / "run" / "log.csv")
    assert history["val_token_loss"].min() < marginal - 0.5

    captioner = load(tmp_path / "run" / "bundle", config.backbone.weights)
    names = parts[1]["image"].unique()
    captions = [best for _, [best] in captioner.captions(data / "images" / name for name in names)]
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", caption.text) for caption in captions)
    assert not any(token in caption.words for caption in captions for token in SPECIAL_TOKENS)


@pytest.mark.slow
def test_a_short_demo_in_english_ends_with_its_results(tmp_path, monkeypatch):
    """One epoch on few scenes; `.ci/run` requires exact captions and grounded maps of the full demo in Chinese."""

    def short_config(files, language):
        training = dataclasses.replace(
            full_config(files, language).training, epochs=1, sample_count=0, tensorboard=False
        )
        return dataclasses.replace(full_config(files, language), training=training)

    full_config = demo.demo_config
    monkeypatch.setattr(demo, "demo_config", short_config)
    lines: list[str] = []
    result = demo.run_demo(tmp_path, "en", log=lines.append, counts={"train": 96, "val": 16, "test": 16})
    assert result.scenes == 16
    assert 0 <= result.exact <= 1
    captions = (tmp_path / "scenes" / "captions.tsv").read_text(encoding="utf-8")
    assert " is " in captions or " are " in captions or " a " in captions
    assert lines.count(result.grounding.summary()) == 1
    [baseline] = [item for item in result.grounding.classes if item.name == "shape"]
    assert baseline.center.high < 0.6
    assert all(path.stat().st_size > 10_000 for path in result.heatmaps)
    assert re.search(r"held-out scenes \(\d+\.\d%\)", "\n".join(lines))  # `.ci/run` reads these three lines
    assert re.search(r"^grounding: pointing game \d\.\d\d for shape words", "\n".join(lines), re.MULTILINE)
    assert any(re.match(r"\n\[ *\d+ s\] Done", line) for line in lines)
