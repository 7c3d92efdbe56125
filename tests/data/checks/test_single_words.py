"""Corpora whose captions are single words: one line that says what they may be."""

import json

import pandas as pd
import pytest

from caption_tx.config import Config
from caption_tx.data.checks.corpus_checks import inspect_corpus
from caption_tx.data.checks.language import reading_notes
from caption_tx.data.checks.single_words import single_word_warning
from caption_tx.data.corpus.table import read_corpus

IMAGES = [f"{number}.jpg" for number in range(8)]


def _warn(captions):
    return single_word_warning(read_corpus(dict(zip(IMAGES, captions, strict=False))))


@pytest.mark.parametrize(
    "captions",
    [
        ["dog", "cat", "bus", "a red bus on the road"],
        ["一只", "黄狗", "在", "草地"],
        ["公交车", "西红柿", "自行车", "一只狗在草地上"],
        ["Straße", "дом", "σπίτι"],
        [["dog", "grass"], ["cat", "sofa"], ["bus", "road"]],
    ],
)
def test_captions_of_one_word_get_one_line_with_examples(captions):
    warning = _warn(captions)
    first = captions[0] if isinstance(captions[0], str) else captions[0][0]
    assert "of captions are a single word" in warning and repr(first) in warning and "labels" in warning
    assert "\n" not in warning and "--caption-column" in warning


@pytest.mark.parametrize(
    "captions",
    [
        ["a dog", "two cats", "bus", "a red bus"],
        ["一只狗", "狗在跑", "狗", "猫睡觉"],
        ["一只黄狗在草地上奔跑", "红色公交车", "红色连衣裙"],
        ["犬が走る草原です", "สุนัขวิ่งบนหญ้า", "犬と子供たち"],
        ["dog", "cat"],
    ],
)
def test_short_captions_get_no_line(captions):
    assert _warn(captions) is None


def test_the_line_names_columns_that_were_not_read(tmp_path):
    path = tmp_path / "a.csv"
    rows = [(image, "狗", "好", "一只黄狗在草地上奔跑") for image in IMAGES]
    pd.DataFrame(rows, columns=["image", "caption", "color", "long"]).to_csv(path, index=False)
    assert "not read: color, long)" in single_word_warning(read_corpus(path))
    assert single_word_warning(read_corpus(path, caption_column=["long"])) is None
    flickr = tmp_path / "a.txt"
    flickr.write_text("".join(f"{image}#0\tdog\n" for image in IMAGES), "utf-8")
    assert "caption_column" not in single_word_warning(read_corpus(flickr))


def test_each_source_is_looked_at(tmp_path):
    long, short = tmp_path / "long.csv", tmp_path / "short.csv"
    long.write_text("image,caption\n" + "".join(f"{n}.jpg,a dog runs fast\n" for n in range(20)), "utf-8")
    short.write_text("image,caption\n" + "".join(f"x{n}.jpg,dog\n" for n in range(8)), "utf-8")
    assert f"100% of captions in {short} are a single word" in single_word_warning(read_corpus([long, short]))


def test_the_line_is_in_every_report(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("image,caption\n" + "".join(f"{image},狗\n" for image in IMAGES))
    table = read_corpus(path)
    warning = single_word_warning(table)
    assert warning in reading_notes(table, "zh")
    report = inspect_corpus(Config(), table)
    assert warning in report.to_text() and json.loads(report.to_json())["single_word_warning"] == warning
    checked = inspect_corpus(Config(), table, check=True)
    assert checked.content["single_word_warning"] == warning and "are a single word" in checked.to_text()
