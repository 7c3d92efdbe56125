"""Marks that reject one caption of a row: lists of marks, and columns with the number of a caption."""

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus

DOG, CAT, GIRL, BAD = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞", "一张坏的图片"
EXPECTED = [("a.jpg", DOG), ("b.jpg", CAT), ("b.jpg", GIRL)]


def entries(make):
    """Entries of two images from a function of their captions and marks (1 rejects)."""
    return [make("a.jpg", [DOG, BAD], [0, 1]), make("b.jpg", [CAT, GIRL], [0, 0])]


def words(marks, good="ok", bad="rejected"):
    return [bad if mark else good for mark in marks]


def argilla(name, texts, marks):
    status = words(marks, "submitted", "discarded")
    responses = [{"value": text, "status": mark, "user_id": "u"} for text, mark in zip(texts, status, strict=True)]
    return {"id": "7", "fields": {"image": name}, "status": "completed", "responses": {"caption": responses}}


def argilla_1(name, texts, marks):
    status = words(marks, "submitted", "discarded")
    responses = [
        {"values": {"caption": {"value": text}}, "status": mark} for text, mark in zip(texts, status, strict=True)
    ]
    return {"fields": {"image": name}, "responses": responses}


CASES = {
    "parallel lists of Argilla": lambda name, texts, marks: {
        "image": name,
        "caption.responses": texts,
        "caption.responses.users": ["u1", "u2"],
        "caption.responses.status": words(marks, "submitted", "discarded"),
    },
    "Argilla": argilla,
    "Argilla 1": argilla_1,
    "a list of booleans": lambda name, texts, marks: {
        "image": name,
        "captions": texts,
        "is_rejected": list(map(bool, marks)),
    },
    "an object of lists": lambda name, texts, marks: {"image": name, "captions": {"text": texts, "rejected": marks}},
    "a list for several keys": lambda name, texts, marks: {
        "image": name,
        "caption_1": texts[0],
        "caption_2": texts[1],
        "status": words(marks),
    },
    "a status per key": lambda name, texts, marks: {
        "image": name,
        "caption_1": texts[0],
        "caption_1_status": words(marks)[0],
        "caption_2": texts[1],
        "caption_2_status": words(marks)[1],
    },
    "numbered marks": lambda name, texts, marks: {
        "image": name,
        "is_rejected2": marks[1],
        "is_rejected1": marks[0],
        "caption1": texts[0],
        "caption2": texts[1],
    },
    "Chinese numbers": lambda name, texts, marks: {
        "图片": name,
        "描述一": texts[0],
        "审核一": words(marks, "通过", "不通过")[0],
        "描述二": texts[1],
        "审核二": words(marks, "通过", "不通过")[1],
    },
}


@pytest.mark.parametrize("case", CASES)
def test_one_caption_of_several_is_left_out(write, case):
    table = read_corpus(write("x.json", entries(CASES[case])))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    left_out = [text for text in table.attrs["files"][0]["notes"] if text.startswith("captions marked as")]
    assert len(left_out) == 1 and table.attrs["files"][0]["notes"][left_out[0]] == 1
    kept = read_corpus(write("x.json", entries(CASES[case])), keep_rejected=True)
    assert list(kept["caption"]) == [DOG, BAD, CAT, GIRL]


def test_repeated_headers_and_lists_in_cells(write):
    text = f"image,caption,status,caption,status\na.jpg,{DOG},ok,{BAD},rejected\nb.jpg,{CAT},ok,{GIRL},ok\n"
    table = read_corpus(write("x.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    text = (
        f"""image,captions,status\na.jpg,"['{DOG}', '{BAD}']","['ok', 'rejected']"\nb.jpg,"['{CAT}', '{GIRL}']",[]\n"""
    )
    table = read_corpus(write("y.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED


@pytest.mark.parametrize("is_nested", [False, True])
def test_lists_of_marks_in_parquet(tmp_path, is_nested):
    captions, valid = [[DOG, BAD], [CAT, GIRL]], [[True, False], [True, True]]
    columns = {"image": ["a.jpg", "b.jpg"], "captions": captions, "valid": valid}
    if is_nested:
        pairs = zip(captions, valid, strict=True)
        columns = {"image": columns["image"], "captions": [{"raw": text, "is_valid": mark} for text, mark in pairs]}
    pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet")
    table = read_corpus(tmp_path / "x.parquet")
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED


def test_lists_of_another_length_are_reported(write):
    table = read_corpus(write("x.json", [{"image": "a.jpg", "captions": [DOG, CAT], "rejected": [1]}]))
    assert list(table["caption"]) == [DOG, CAT]
    note = "lists of 'rejected' whose length differs from that of the captions, not read"
    assert table.attrs["files"][0]["notes"] == {note: 1}


def test_missing_captions_in_lists_in_cells(write):
    text = f"""image,captions\na.jpg,"['{DOG}', nan]"\nb.jpg,"[""{CAT}"", null]"\nb.jpg,"['{GIRL}', None]"\n"""
    table = read_corpus(write("x.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    assert table.attrs["files"][0]["notes"] == {"lists written as text read as captions": 3}
