"""The whole corpus check, from Python and from the command line."""

import csv
import io
import json
from types import SimpleNamespace

import pytest
from PIL import Image

from caption_tx.cli import main
from caption_tx.config import Config, CorpusConfig, TextConfig
from caption_tx.data.checks.corpus_checks import check_corpus, inspect_corpus
from caption_tx.data.checks.findings import COLUMNS, MAX_LISTED
from caption_tx.data.corpus.table import read_corpus, read_table
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import CaptionTxError, CorpusError


def test_an_empty_table_is_an_error(corpus, check):
    with pytest.raises(CorpusError, match="no captions"):
        check(corpus(("1.png", "一只狗")).iloc[:0])


def test_lists_are_cut_in_the_report_and_complete_in_the_csv(corpus, counts_by_kind):
    table = corpus(*((f"{n}.jpg", f"a dog {n}") for n in range(MAX_LISTED + 7)), ("x.jpg", '狗说"汪，汪"'))
    report = check_corpus(table, Segmenter(TextConfig()))
    about = report.content["findings"]["wrong_script"]
    assert (about["count"], len(about["examples"])) == (MAX_LISTED + 7, MAX_LISTED)
    rows = list(csv.DictReader(io.StringIO(report.findings.to_csv())))
    assert list(rows[0]) == ["kind", "level", *COLUMNS]
    wrong = [row for row in rows if row["kind"] == "wrong_script"]
    assert [row["image"] for row in wrong] == [f"{n}.jpg" for n in range(MAX_LISTED + 7)]
    assert wrong[3] | {"source": ""} == {
        "kind": "wrong_script", "level": "problem", "image": "3.jpg", "split": "train", "source": "", "line": "5",
        "caption": "a dog 3", "detail": "",
    }  # fmt: skip
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in {row["kind"] for row in rows}}
    assert counts == counts_by_kind(report.content)


def test_the_same_corpus_gives_the_same_report(corpus, check, images):
    table, source = corpus(*images.rows), open_images(str(images.folder))
    assert json.dumps(check(table, images=source)) == json.dumps(check(table, images=source))


def test_categorical_columns_give_the_same_report(corpus, check, images):
    table, source = corpus(*images.rows), open_images(str(images.folder))
    expected = check(table, images=source)
    categories = table.astype(dict.fromkeys(["split", "origin", "source"], "category"))
    report = check_corpus(categories, Segmenter(TextConfig()), images=source)
    assert report.content == expected
    assert "leak_val.png" in report.findings.to_csv()


@pytest.fixture
def files(corpus, images, tmp_path):
    corpus(*images.rows)
    return SimpleNamespace(captions=str(tmp_path / "captions.csv"), images=str(images.folder), folder=tmp_path)


def test_check_from_the_command_line(files, capsys):
    assert main(["corpus", files.captions, "--check", "--images", files.images]) == 0
    output = capsys.readouterr()
    assert "3 problems to fix before training" in output.out
    assert output.err == ""  # no bar for less than a second
    assert main(["corpus", files.captions, "--check", "--set", "model.max_length=3"]) == 0
    output = capsys.readouterr().out
    assert "captions (100.00%) that training truncates" in output
    assert "not checked: images; name their folder with images (--images)" in output


def test_standard_output_is_only_json_with_json(files, capsys):
    command = ["corpus", files.captions, "--check", "--images", files.images, "--json"]
    assert main([*command, "--list", str(files.folder / "findings.csv"), "--plot", str(files.folder / "x.PNG")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["captions"]) == (15, 16)
    assert set(report) >= {
        "splits", "origins", "files", "stage_captions", "captions_per_image", "caption_length", "vocabulary", "scripts",
        "findings", "frequent_captions", "checked_images", "summary", "skipped_reasons", "left_out_images", "language",
    }  # fmt: skip
    with open(files.folder / "findings.csv", encoding="utf-8", newline="") as file:
        assert {"image_in_two_splits", "unreadable_image"} <= {row["kind"] for row in csv.DictReader(file)}
    with Image.open(files.folder / "x.PNG") as image:
        assert image.format == "PNG" and image.width > 1000
    assert not list(files.folder.glob(".*"))


def test_without_check_the_command_prints_statistics(files, capsys):
    assert main(["corpus", files.captions, "--images", files.images]) == 0
    assert capsys.readouterr().out.startswith("15 images, 16 captions")
    assert main(["corpus", files.captions, "--json"]) == 0
    assert "findings" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "x.png"], "requires --check"),
        (["--list", "x.csv"], "requires --check"),
        (["--check", "--plot", "x.gif"], ".png, .svg, .pdf, got 'x.gif'"),
        (["--check", "--list", "x.txt"], ".csv, got 'x.txt'"),
        (["--check", "--plot", "no_folder_here/x.png"], "no_folder_here"),
        (["--check", "--images", "nowhere"], "nowhere"),
    ],
)
def test_invalid_options_are_rejected_first(files, options, message, capsys, monkeypatch):
    monkeypatch.chdir(files.folder)
    assert main(["corpus", files.captions, *options]) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""


def test_no_readable_image_is_an_error_after_the_report(files, capsys, tmp_path):
    (tmp_path / "other").mkdir()
    assert main(["corpus", files.captions, "--check", "--images", str(tmp_path / "other")]) == 1
    output = capsys.readouterr()
    assert "15 of 15 images (100.00%) that do not exist" in output.out
    assert "None of the captioned images" in output.err


@pytest.mark.slow
def test_captions_of_flickr8k_have_no_problems(shared):
    folder = shared / "data" / "flickr8k"
    report = check_corpus(read_corpus(folder / "flickr8kzhc.caption.txt"), Segmenter(TextConfig()))
    content = report.content
    assert (content["images"], content["captions"]) == (7000, 35_000)
    assert content["summary"]["problems"] == []
    assert content["vocabulary"]["by_min_frequency"][3]["min_frequency"] == 4
    assert content["vocabulary"]["unknown_share"] == pytest.approx({"train": 0.03, "val": 0.0434}, abs=1e-3)
    assert content["findings"]["mixed_scripts"]["count"] == 1
    assert "No problems found" in report.to_text()


@pytest.mark.slow
def test_images_of_flickr8k_have_no_problems(shared):
    folder = shared / "data" / "flickr8k"
    table = read_corpus(folder / "flickr8kzhc.caption.txt")
    duplicates = ["2851198725_37b6027625.jpg", "3050606344_af711c726c.jpg"]  # the only ones of the corpus
    table = table[table["image"].isin([*table["image"].unique()[::10], *duplicates])]
    content = check_corpus(table, Segmenter(TextConfig()), images=open_images(str(folder / "images"))).content
    assert content["checked_images"]["read"] == content["images"] > 700
    assert content["summary"]["problems"] == []
    assert [item["detail"] for item in content["findings"]["duplicate_image"]["examples"]] == [
        f"also {duplicates[1]} (train)"
    ]


def test_reports_from_python(files):
    config = Config(corpus=CorpusConfig(sources=(files.captions,), images=files.images))
    table = read_table(config.corpus, "zh")
    statistics = inspect_corpus(config, table)
    assert statistics.to_text().startswith("15 images, 16 captions")
    with pytest.raises(CaptionTxError, match="check=True"):
        statistics.save_csv(files.folder / "findings.csv")
    report = inspect_corpus(config, table, check=True)
    assert "3 problems to fix" in report.to_text()
    assert json.loads(report.to_json()) == report.content
