"""VIA's CSV export: a row per region, with the caption in `file_attributes`."""

import csv
import io
import json

import pytest
from corpus_cases import notes, rows

from caption_tx.data.corpus.file_text.via_tables import via_head
from caption_tx.data.corpus.table import read_corpus

HEADER = ["filename", "file_size", "file_attributes", "region_count", "region_id", "region_shape_attributes"]
RECT = '{"name":"rect","x":0}'
TEXTS = [("a.jpg", "一只狗在跑"), ("b.jpg", "两只猫，在“睡觉”")]


def export(attributes, first="filename", delimiter=",", regions=2):
    text = io.StringIO()
    table = [
        [name, 9, json.dumps(values, ensure_ascii=False), regions, at, RECT if regions else "{}", '{"object": "狗"}']
        for name, values in attributes
        for at in range(max(1, regions))
    ]
    csv.writer(text, delimiter=delimiter).writerows([[first, *HEADER[1:], "region_attributes"], *table])
    return text.getvalue()


@pytest.mark.parametrize(
    "form", [{}, {"first": "#filename"}, {"delimiter": ";"}, {"regions": 0}], ids=["VIA 2", "VIA 1", "Excel", "images"]
)
def test_captions_are_read_once_per_image(write, form):
    attributes = [(name, {"caption": text, "quality": "good"}) for name, text in TEXTS]
    table = read_corpus(write("x.csv", export(attributes, **form)))
    assert rows(table) == TEXTS
    expected = {"images of a CSV export of VIA, read with their file_attributes": 2}
    if form.get("regions", 2):
        expected["regions of VIA (region_shape_attributes, region_attributes), not read"] = 4
    assert expected.items() <= notes(table).items()
    assert "keys not read (file_attributes.quality)" in notes(table)


def test_images_without_a_caption_are_skipped(write):
    attributes = [(name, {"caption": text}) for name, text in (*TEXTS, ("c.jpg", ""))]
    table = read_corpus(write("x.csv", export(attributes)))
    assert rows(table) == TEXTS


def test_exports_without_texts_about_images_are_tables():
    lines = export([("a.jpg", {"size": 3}), ("b.jpg", {})]).splitlines()
    assert via_head(lines) is None
    assert via_head(export([("a.jpg", {"caption": "a dog runs"})]).splitlines()) is not None
