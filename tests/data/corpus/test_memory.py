"""Captions from DataFrames, mappings and records are read as those of a file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.summary import format_notes
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

ROWS = [
    ("a.jpg", "一只狗", "train"),
    ("a.jpg", "狗在跑", "train"),
    ("b.jpg", "一只猫", "val"),
    ("c.jpg", "天空", "test"),
]
FRAME = pd.DataFrame(ROWS, columns=["image", "caption", "split"])


def rows_of(captions, **options):
    table = read_corpus(captions, **options)
    return list(zip(table["image"], table["caption"], table["split"], strict=True))


def test_a_dataframe_is_read_like_a_csv_file(tmp_path):
    FRAME.to_csv(tmp_path / "captions.csv", index=False)
    assert rows_of(FRAME) == rows_of(tmp_path / "captions.csv") == ROWS
    [file] = read_corpus(FRAME).attrs["files"]
    assert (file["source"], file["format"], file["captions"], file["images"]) == ("DataFrame", "DataFrame", 4, 3)


@pytest.mark.parametrize(
    "captions",
    [
        FRAME.set_index("image"),
        FRAME.set_index("image").rename_axis(None),
        FRAME[FRAME["caption"] != ""].sort_index(ascending=False)[::-1],
        FRAME.assign(image=FRAME["image"].map(Path)),
        FRAME.astype({"split": "category"}),
        FRAME.rename(columns={"image": "file_name", "caption": "text"}),
        FRAME.assign(pixels=[np.zeros((2, 2)), {1}, object(), None]),
        FRAME.to_dict("records"),
        FRAME.to_dict("list"),
    ],
)
def test_forms_of_a_table(captions):
    assert rows_of(captions) == ROWS


def test_columns_that_are_not_read_are_reported():
    table = read_corpus(FRAME.assign(pixels=[object()] * 4, score=0.5))
    notes = "\n".join(format_notes(table))
    assert "columns not read (pixels)" in notes and "columns not read (score)" in notes


def test_lists_and_missing_values():
    frame = pd.DataFrame({"image": ["a.jpg", "b.jpg", "c.jpg"], "caption": [["狗", "猫"], ("天空",), None]})
    table = read_corpus(frame)
    assert table["caption"].tolist() == ["狗", "猫", "天空"]
    assert table.attrs["skipped"] == [("DataFrame", 3, "no caption")]
    frame = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "caption": ["狗", np.nan]})
    assert read_corpus(frame)["caption"].tolist() == ["狗"]


def test_captions_in_a_list_are_not_paths():
    with pytest.raises(
        CorpusError, match=r"no caption file or folder 一只狗; .* pass captions in memory as a DataFrame"
    ):
        read_corpus(["一只狗", "一只猫"])
    with pytest.raises(CorpusError, match=r"no caption file or folder gone/captions\.csv; check the path\.$"):
        read_corpus("gone/captions.csv")


def test_mappings_of_images_to_captions():
    expected = [("a.jpg", "狗在跑"), ("a.jpg", "一只狗"), ("b.jpg", "天空")]
    for mapping in (
        {"a.jpg": ["狗在跑", "一只狗"], "b.jpg": ["天空"]},
        {Path("a.jpg"): ("狗在跑", "一只狗"), "b.jpg": "天空"},
        {"a.jpg": np.array(["狗在跑", "一只狗"]), "b.jpg": "天空"},
    ):
        table = read_corpus(mapping)
        assert list(zip(table["image"], table["caption"], strict=True)) == expected
    assert read_corpus(pd.Series({"a.jpg": "狗", "b.jpg": "猫"}))["image"].tolist() == ["a.jpg", "b.jpg"]


def test_numbers_are_found_in_the_image_folder(tmp_path):
    (tmp_path / "000012.jpg").write_bytes(b"")
    table = read_corpus({12: "狗"}, images=tmp_path)
    assert table["image"].tolist() == ["000012.jpg"]


def test_several_sources(tmp_path):
    FRAME[:2].to_csv(tmp_path / "more.csv", index=False)
    table = read_corpus([FRAME[2:], {"x.jpg": "龙"}, Source(str(tmp_path / "more.csv"), split="train")])
    assert table["source"].cat.categories.tolist() == ["DataFrame 1", "Mapping 2", str(tmp_path / "more.csv")]
    assert len(table) == 5


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        (FRAME[:0], "DataFrame has no rows"),
        ({}, "Mapping has no rows|DataFrame has no rows"),
        ([], "No caption source"),
        (7, "a list of these; got a value of type int"),
        (b"captions.csv", "got a value of type bytes"),
        ([FRAME, 7], "got a value of type int"),
        ({"a.jpg": 7}, "captions of 'a.jpg' must be a text or a list of texts, got 7"),
        ({"a.jpg": ["x", None]}, "captions of 'a.jpg'"),
        ({"image": ["a.jpg"], "caption": ["x", "y"]}, "different lengths"),
        (FRAME[["image", "split"]], "expected text columns named image and caption"),
        (FRAME.assign(image=[1, "b", "c", b"d"]), "column 'image' has values of the types bytes, int, str"),
        (FRAME.assign(split="nonsense"), "unknown split 'nonsense'"),
        (pd.DataFrame({"image": [b"\xff\xd8"] * 3, "caption": ["狗"] * 3}), "contains images as bytes"),
    ],
)
def test_other_values_are_rejected_with_advice(captions, message):
    with pytest.raises(CorpusError, match=message):
        read_corpus(captions)
