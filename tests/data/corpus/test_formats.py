"""Detection and reading of every caption format."""

import json

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.formats import READERS, detect_format
from caption_tx.data.corpus.table import read_corpus

BINARY = ("parquet", "excel", "folder")
VARIANTS = ["flickr8k, segmented"]
LAYOUTS = [*(name for name in READERS if name not in BINARY), *VARIANTS]
WITHOUT_HEADER = [
    layout
    for layout in LAYOUTS
    if layout not in ("ai_challenger", "coco", "karpathy", "json", "csv", "tsv", "flickr30k")
]


def read(path, format=None, **options):
    return read_corpus(Source(str(path), format, **options))


def rows(table):
    columns = ["image", "caption", "origin", "line"]
    return [tuple(row) for row in table[columns].to_numpy().tolist()]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_format_is_detected_and_read(write, samples, layout):
    name, content, expected = samples[layout]
    path = write(name, content)
    table = read(path)
    assert rows(table) == expected
    file = table.attrs["files"][0]
    assert file["format"] == layout.split(",")[0]
    assert (file["source"], file["encoding"]) == (str(path), "utf-8")
    assert (file["captions"], file["images"]) == (len(expected), len({row[0] for row in expected}))
    json.dumps(table.attrs["files"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_other_encodings(write, samples, layout, encoding):
    name, content, expected = samples[layout]
    content = content.replace("\\u4e00\\u4e2a", "一个")  # JSON without escapes
    table = read(write(name, content.encode(encoding)))
    assert rows(table) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends(write, samples, layout, end):
    name, content, expected = samples[layout]
    assert rows(read(write(name, content.replace("\n", end)))) == expected


@pytest.mark.parametrize("layout", WITHOUT_HEADER)
def test_invalid_first_line_does_not_hide_the_format(write, samples, layout):
    name, content, _ = samples[layout]
    path = write(name, "# Captions, made by us\n" + content * 10)
    table = read(path)
    assert table.attrs["files"][0]["format"] == layout.split(",")[0]
    assert table.attrs["skipped"][0][1] == 1


def test_every_format_has_a_sample(samples):
    assert {layout.split(",")[0] for layout in samples} | set(BINARY) == set(READERS)


def test_byte_order_mark_is_not_part_of_the_first_name(write):
    assert read_corpus(write("a.txt", "\ufeff1000_a.jpg#zhc#0 词\n".encode())).image[0] == "1000_a.jpg"
    assert list(read_corpus(write("b.csv", b"\xef\xbb\xbfimage,caption\na.jpg,x")).image) == ["a.jpg"]


def test_table_of_images_is_not_a_caption_file(write, image_base64):
    path = write("IC_train.txt", f"007c\t{image_base64}\n008d\t{image_base64}\n")
    assert detect_format(path) is None
