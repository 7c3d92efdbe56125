"""Corpora from the command line: several sources, shares that several processes encode, stages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from caption_tx.cli import main
from caption_tx.cli.settings import parse_share
from caption_tx.errors import ConfigError


@pytest.fixture
def corpus(tmp_path, write_pictures, backbone_config):
    """Two sources on twelve pictures, and the options that name the pictures and a small backbone."""
    names = write_pictures(tmp_path / "photos", 12)
    human = "".join(f"{name}#zhc#0 一張第{number}号Ａ图片\n" for number, name in enumerate(names))
    machine = "".join(f"{name}#zhb#0 机器说这是Ａ图片\n" for name in names)
    (tmp_path / "human.txt").write_bytes(human.encode("gb18030"))
    (tmp_path / "machine.txt").write_text(machine, encoding="utf-8")
    backbone = ["--backbone-weights", backbone_config.weights, "--alpha", "0.25", "--image-size", "32"]
    backbone += ["--feature-layer", backbone_config.feature_layer]
    return tmp_path, ["--images", str(tmp_path / "photos"), *backbone]


def test_two_shares_and_a_join(corpus, capsys):
    folder, options = corpus
    command = ["features", str(folder / "human.txt"), *options, "--cache", str(folder / "cache")]
    assert main([*command, "--shard", "2/2"]) == 0
    assert "contains 6 images" in capsys.readouterr().out
    assert main([*command, "--merge"]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("Not there: ") == 6
    assert "6 images of the corpus are not in" in captured.err
    assert main([*command, "--shard", "1/2"]) == 0
    assert main([*command, "--merge"]) == 0
    captured = capsys.readouterr()
    assert "features of MobileNet 0.25, conv_pw_3_relu, 32 pixels" in captured.out
    assert "contains 12 images" in captured.out
    assert main([*command, "--merge", "--shard", "1/2"]) == 1
    assert "leave out --shard" in capsys.readouterr().err


def test_features_of_no_image_at_all_are_an_error(corpus, capsys):
    folder, options = corpus
    (folder / "empty").mkdir()
    options = ["--images", str(folder / "empty"), *options[2:]]
    assert main(["features", str(folder / "human.txt"), *options, "--cache", str(folder / "cache")]) == 1
    captured = capsys.readouterr()
    assert "contains 0 images" in captured.out
    assert captured.err.rstrip().splitlines()[-1] == "caption-tx: None of the images could be read; check --images."


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/x", "/", "-1/2", "1/2/3"])
def test_a_share_is_one_of_several(text):
    with pytest.raises(ConfigError, match=r"--shard must be I/N with I from 1 to N"):
        parse_share(text)
    assert parse_share("2/8") == (1, 8)


def test_staged_training_on_two_sources(corpus, capsys):
    folder, options = corpus
    workdir = folder / "run"
    sources = [f"{folder / 'machine.txt'}:stage=1,origin=machine", f"{folder / 'human.txt'}:stage=2"]
    small = "model.hidden_dim=16 model.intermediate_dim=16 model.num_layers=1 model.num_heads=2"
    settings = [part for pair in small.split() for part in ("--set", pair)]
    settings += ["--set", "corpus.val_fraction=0.3", "--set", "corpus.test_fraction=0.0"]
    command = ["train", "--stage-epochs", "1", *sources, *options, "--workdir", str(workdir), "--epochs", "3"]
    text = ["--nfkc", "--script", "simplified", "--min-frequency", "1", "--leave-out", "html,url"]
    assert main([*command, *settings, *text]) == 0
    output = capsys.readouterr().out
    assert "Stage 1: epochs 1 to 1." in output
    assert "Stage 2: epochs 2 to 3." in output
    vocabulary = (workdir / "bundle" / "vocabulary.txt").read_text(encoding="utf-8").split()
    assert "a" in vocabulary and "一张" in vocabulary  # Ａ was folded, 張 converted, GB18030 found
    assert "机器" not in vocabulary  # of the first stage alone
    assert pd.read_csv(workdir / "log.csv")["epoch"].tolist() == [1, 2, 3]
    reasons = pd.read_csv(workdir / "left_out.csv")["reason"]
    assert set(reasons) == {"machine translation, not used as a reference"}
    photo = str(Path(options[1]) / "000.png")
    assert main(["caption", photo, "--bundle", str(workdir / "bundle"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["image"] == photo


def test_the_check_of_two_sources_as_one_document(corpus, capsys):
    folder, _ = corpus
    sources = [str(folder / "human.txt"), str(folder / "machine.txt")]
    assert main(["corpus", *sources, "--images", str(folder / "photos"), "--check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["captions"]) == (12, 24)
    assert [file["encoding"] for file in report["files"]] == ["gb18030", "utf-8"]
    assert report["origins"] == {"human": 12, "machine": 12}


def test_a_corpus_is_counted_in_words_of_the_users_dictionary(tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("a.jpg\t一只边境牧羊犬在奔跑\nb.jpg\t边境牧羊犬睡了\n", encoding="utf-8")
    (tmp_path / "words.txt").write_text("边境牧羊犬\n", encoding="utf-8")
    lengths = []
    for options in ([], ["--user-dictionary", str(tmp_path / "words.txt")]):
        assert main(["corpus", str(tmp_path / "a.tsv"), "--json", *options]) == 0
        lengths.append(json.loads(capsys.readouterr().out)["caption_length"]["max"])
    assert lengths == [5, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "a.txt:wieght=2", "--workdir", "x"], "Unknown option 'wieght' of source a.txt"),
        (["train", "a.txt", "--leave-out", "boring", "--workdir", "x"], "corpus.leave_out must be one of no_letters"),
        (["corpus", "a.txt", "--format", "word"], "corpus.format must be one of parquet"),
        (["corpus", "a.txt", "--images", "nowhere"], "Image folder 'nowhere' does not exist"),
    ],
)
def test_wrong_options_are_one_plain_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a.jpg#0\tx\n")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "written"),
    [({}, "狗\n".encode()), ({"PYTHONIOENCODING": "cp1252"}, b"\\u72d7\n")],
    ids=["none", "cp1252"],
)
def test_chinese_is_written_where_the_system_does_not_know_it(setting, written):
    code = "from caption_tx.cli import main; main(['corpus', 'nowhere.csv']); print('\\u72d7')"
    ascii_alone = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    environment = kept | ascii_alone | setting
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert process.stdout == written, process.stderr
    assert b"nowhere.csv" in process.stderr
