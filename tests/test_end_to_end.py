"""The whole way in one run on rendered scenes, shared by what looks at its results; and on real photographs."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from caption_tx import demo
from caption_tx.cli import main
from caption_tx.config import BackboneConfig, Config, CorpusConfig, TextConfig, TrainingConfig
from caption_tx.data.scenes.corpus import write_scenes
from caption_tx.data.text.vocabulary import SPECIAL_TOKENS


@pytest.fixture(scope="module")
def scene_run(tmp_path_factory):
    """A short training on a few scenes: (workdir, image folder, lines of the log)."""
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


def test_a_run_tells_what_it_does_and_leaves_its_records(scene_run):
    workdir, _, lines = scene_run
    text = "\n".join(lines)
    marginal = float(re.search(r"marginal entropy (\d+\.\d+)", text)[1])
    history = pd.read_csv(workdir / "log.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    assert history["val_token_loss"].iloc[-1] < marginal
    assert "Total params" in text
    for temperature in ("temperature 0 ", "temperature 0.5", "temperature 1 "):
        assert text.count(temperature) == 3 * 2  # epochs, images
    for name in ("config.toml", "curves.png", "samples.txt", "checkpoint.npz", "bundle/vocabulary.txt"):
        assert (workdir / name).stat().st_size > 0
    assert list((workdir / "tensorboard").rglob("events*"))
    assert not (workdir / "left_out.csv").exists()  # the test split is not trained on, and not left out either


def test_captions_from_the_command_line(scene_run, bundle, capsys, tmp_path):
    images = scene_run[1]
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
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


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_figures_from_the_command_line(scene_run, bundle, tmp_path, suffix, magic):
    out = tmp_path / f"maps{suffix}"
    image = str(scene_run[1] / "test-000000.png")
    assert main(["explain", image, "--bundle", bundle, "--caption", "一个红色的圆形", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(magic)


def test_raw_maps_from_the_command_line_and_from_python(scene_run, bundle, tmp_path):
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
    assert any(word.endswith("(?)") for word in maps.titles)  # 龘 is no word of the scenes

    caption = captioner.caption(image, temperature=0.5, seed=1)
    own = captioner.explain(image, caption)
    np.testing.assert_allclose(own.log_probabilities, caption.log_probabilities, atol=1e-4)
    assert own.figure(layer=-1, head=0).axes


@pytest.mark.parametrize("cut", [{}, {"top_k": 8, "top_p": 0.9}], ids=["free", "cut"])
def test_a_trained_model_samples_the_same_captions_in_any_batch(scene_run, bundle, cut):
    """A captioner that was trained, real features, and the content of the images as their seeds."""
    import caption_tx
    from caption_tx.config import DecodingOptions

    captioner, images = caption_tx.load(bundle), sorted(scene_run[1].glob("*.png"))
    options = DecodingOptions(temperature=1.0, seed=4, **cut)

    def run(images, size):
        return {name: caption.token_ids for name, [caption] in captioner.captions(images, options, size)}

    wanted = run(images, 64)
    assert len(wanted) == 116
    assert len(set(wanted.values())) > 30
    assert run(images[::-1], 7) == wanted
    assert run(images[:12], 1) == {str(image): wanted[str(image)] for image in images[:12]}


def test_searches_from_the_command_line(scene_run, bundle, capsys):
    image = str(scene_run[1] / "test-000000.png")
    search = ["--beam-width", "3", "--n-best", "2", "--prefix", "一个", "--force-words", "红色", "--json"]
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
        (["explain", "{image}", "--bundle", "{bundle}", "--out", "maps.bmp"], "maps.bmp"),
        (["explain", "{image}", "--bundle", "{bundle}", "--out", "no/such/maps.png"], "no/such"),
        (["explain", "{image}", "--bundle", "{bundle}", "--caption", "。", "--out", "maps.png"], "no words"),
        (["explain", "{image}", "--bundle", "{bundle}", "--layer", "9", "--out", "maps.png"], "layer"),
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
def test_a_bad_request_is_one_plain_line_and_exit_code_1(
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


def test_corpus_and_features_from_the_command_line(scene_run, capsys, tmp_path):
    captions = str(scene_run[1].parent / "captions.tsv")
    assert main(["corpus", captions, "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert (description["images"], description["captions"]) == (116, 464)
    encode = ["features", captions, "--images", str(scene_run[1]), "--cache", str(tmp_path / "cache")]
    small = ["--backbone-weights", "scenes", "--alpha", "0.25"]
    assert main([*encode, *small]) == 0
    assert capsys.readouterr().out.startswith("116 images")
    assert main([*encode, *small, "--image-size", "96"]) == 1
    assert "image_size is 224, wanted 96" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", "demo", "corpus", "features", "train", "caption", "explain"])
def test_help_says_something_without_loading_tensorflow(command):
    code = (
        "import sys; from caption_tx.cli import main\n"
        f"try: main({[command, '--help'] if command else ['--help']!r})\n"
        "except SystemExit as stop: print(stop.code)\n"
        "print([name for name in ('tensorflow', 'keras', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("usage: caption-tx")
    assert out.endswith("0\n[]\n")


def test_wrong_usage_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["caption"])
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
def test_120_real_photographs_with_chinese_captions(shared, tmp_path):
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

    captioner = load(tmp_path / "run" / "bundle")
    names = parts[1]["image"].unique()
    captions = [best for _, [best] in captioner.captions(data / "images" / name for name in names)]
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", caption.text) for caption in captions)
    assert not any(token in caption.words for caption in captions for token in SPECIAL_TOKENS)


@pytest.mark.slow
def test_the_demo_names_what_is_in_scenes_it_never_saw(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "COUNTS", {"train": 1000, "val": 40, "test": 100})
    lines: list[str] = []
    result = demo.run_demo(tmp_path, "en", log=lines.append)
    assert result.scenes == 100
    assert result.exact >= 0.9
    assert lines.count(result.grounding.summary()) == 1
    shape = result.grounding.best("shape")
    [blind] = [each for each in result.grounding.classes if each.name == "shape"]
    assert shape.pointing.low >= 0.85
    assert blind.center.high < 0.35
    assert shape.mass_ratio.low >= 3
    assert shape.shuffled_pointing.high < 0.5
    assert all(path.stat().st_size > 10_000 for path in result.heatmaps)
