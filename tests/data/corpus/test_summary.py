"""Summary of a caption table."""

import json

import numpy as np
import pytest

from caption_tx.config import TextConfig
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.summary import format_summary, summarize_corpus, summarize_values
from caption_tx.data.corpus.table import machine_references, read_corpus
from caption_tx.data.text.segmentation import Segmenter

CHINESE = (
    "1000_a.jpg#zhc#0 一个穿着泳装的女人。\n"
    "2000_b.jpg#zhc#0 一对恋人在公园河边拥抱。\n"
    "1000_a.jpg#zhc#1  女人躺在海水里。 \n"
    "3000_c.jpg#zhc#0 两只狗在跑。\n"
)


def test_values():
    assert summarize_values(np.arange(21)) == {"min": 0, "median": 10, "mean": 10, "p95": 19, "max": 20}


def test_summary_of_a_corpus(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n")
    table = read_corpus(write("flickr8kzhc.caption.txt", CHINESE + "\n"))
    summary = summarize_corpus(table, Segmenter(TextConfig(language="en")))
    assert (summary["images"], summary["captions"], summary["left_out_images"], summary["skipped"]) == (2, 3, 1, 1)
    assert summary["splits"] == {"train": {"images": 1, "captions": 2}, "val": {"images": 1, "captions": 1}}
    assert summary["captions_per_image"] == {"min": 1, "median": 1.5, "mean": 1.5, "p95": 1.95, "max": 2}
    assert summary["caption_length"]["unit"] == "words"
    assert summary["origins"] == {"human": 3}
    assert json.loads(json.dumps(summary)) == summary
    text = format_summary(summary)
    assert "2 images, 3 captions (1 to 2 per image, 1.5 on average)" in text
    assert "2 images, 2 captions (1 per image)" in format_summary(summarize_corpus(read_corpus({"a": "x", "b": "y"})))
    assert "left out: 1 images in no split list" in text
    assert "skipped: 1 (1 blank line)" in text
    assert "caption length in words" in text
    assert summarize_corpus(table)["caption_length"]["max"] == len("一对恋人在公园河边拥抱。")


def test_machine_references_are_counted(write):
    text = "image,caption,split\na,1,train\nb,2,val\nc,3,test\n"
    table = read_corpus([write("a.csv", text), write("b.txt", "a#zhb#0 一\nb#zhb#0 二\nc#zhg#0 三\n")])
    assert list(machine_references(table)) == [False, False, False, False, True, True]
    summary = summarize_corpus(table)
    assert summary["machine_references"] == 2
    assert "machine translations outside the training split: 2 (not used)" in format_summary(summary)
    assert "machine translations" not in format_summary(summarize_corpus(table[:4]))


@pytest.mark.parametrize(("num_images", "is_warned"), [(1, True), (2, False), (4, False)])
def test_most_images_missing_is_a_warning(write, tmp_path, num_images, is_warned):
    for number in range(num_images):
        write(f"photos/{number}.jpg", b"\xff\xd8")
    lines = "".join(f"{number}.jpg,一只狗{number}\n" for number in range(4))
    table = read_corpus(write("x.csv", f"image,caption\n{lines}"), images=tmp_path / "photos")
    summary = summarize_corpus(table)
    assert summary["missing_images"] == 4 - num_images
    warning = f"warning: 3 of 4 images have no file in {tmp_path / 'photos'}, so that only 1 can be used"
    assert format_summary(summary).splitlines()[-1].startswith(warning) == is_warned
    assert any(note.startswith(warning) for note in reading_notes(table, "zh")) == is_warned


def test_images_with_several_pages_are_reported(write, tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    pages = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "photos" / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "photos" / "b.png")
    path = write("captions.csv", "image,caption\na.tif,一只狗\nb.png,一只猫\nc.png,一只鸟\n")
    note = (
        "1 of 2 images with several pages or frames, of which only the first is read (a.tif, 2 pages); save each page "
        "as a file of its own to caption them all"
    )
    table = read_corpus(path, images=tmp_path / "photos")
    assert note in reading_notes(table, "zh")
    assert note in format_summary(summarize_corpus(table)).splitlines()
    assert json.loads(json.dumps(summarize_corpus(table)))["image_notes"] == [note]
    assert summarize_corpus(read_corpus(path))["image_notes"] == []
