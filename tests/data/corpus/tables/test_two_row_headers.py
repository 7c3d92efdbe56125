"""Headers of two rows, as merged cells are saved: captions, and the marks that belong to each."""

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.tables.two_row_headers import combine_header

DOG, CAT, GIRL, BOY = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞", "一个男孩在踢球"
ROWS = [
    ["1", "a.jpg", DOG, "合格", GIRL, "不合格"],
    ["2", "b.jpg", CAT, "合格", BOY, "合格"],
    ["3", "c.jpg", GIRL, "不合格", DOG, "合格"],
]
EXPECTED = [("a.jpg", DOG), ("b.jpg", CAT), ("b.jpg", BOY), ("c.jpg", DOG)]
HEADERS = {
    "merged": (["序号", "图片", "标注员A", "", "标注员B", ""], ["", "", "描述", "质检", "描述", "质检"]),
    "pandas": (["序号", "图片", "甲", "甲", "乙", "乙"], ["", "", "描述", "审核", "描述", "审核"]),
    "names repeated": (["序号", "图片", "甲", "", "乙", ""], ["序号", "图片", "描述", "审核", "描述", "审核"]),
    "English": (["id", "image", "rater A", "", "rater B", ""], ["", "", "caption", "status", "caption", "status"]),
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("title", [False, True])
def test_marks_belong_to_the_caption_beside_them(write, case, title):
    lines = [*([["2024 标注"]] if title else []), *HEADERS[case], *ROWS]
    table = read_corpus(write("x.csv", "\n".join(map(",".join, lines))))
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    notes = table.attrs["files"][0]["notes"]
    assert any(text.startswith("columns of a header of two rows, read as one (") for text in notes), notes
    assert notes["captions marked as 不合格, left out"] == 2


def test_a_workbook_has_two_rows(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (*HEADERS["merged"], *ROWS):
        book.active.append([cell or None for cell in cells])
    book.active.merge_cells("C1:D1")
    book.active.merge_cells("E1:F1")
    book.save(tmp_path / "x.xlsx")
    table = read_corpus(tmp_path / "x.xlsx")
    assert list(zip(table["image"], table["caption"], strict=True)) == EXPECTED
    named = read_corpus(tmp_path / "x.xlsx", caption_column=["描述2"])
    assert list(named["caption"]) == [BOY, DOG]


@pytest.mark.parametrize(
    ("top", "below"),
    [
        (["图片", "描述"], ["a.jpg", "一只狗"]),
        (["图片", "描述", ""], ["1", "文字", "标题"]),
        (["image", "caption", "caption"], ["a.jpg", "caption", "text"]),
        (["图片", "描述", ""], ["", "", ""]),
        (["图片", "描述", "备注"], ["图片", "描述", "备注"]),
    ],
)
def test_other_rows_are_no_second_header(top, below):
    assert combine_header(top, below) is None


TWO_LANGUAGES = [
    (["照片", "中文描述"], ["image", "caption"]),
    (["image", "caption"], ["照片", "中文描述"]),
    (["图片", "描述", "划分"], ["filename", "Chinese caption", "split"]),
    (["image", "caption_1", "caption_2"], ["图片", "描述1", "描述2"]),
    (["image", "caption"], ["Image", "Caption (English)"]),
]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.xlsx", "x.parquet"])
@pytest.mark.parametrize(("header", "second"), TWO_LANGUAGES)
def test_a_second_header_is_no_caption(tmp_path, name, header, second):
    data = [["1.jpg", "一只狗在草地上跑", "train"], ["2.jpg", "两只猫在睡觉", "val"], ["图片.jpg", "女孩走", "test"]]
    if "caption_2" in header:
        data = [[*cells[:2], "草地上有狗"] for cells in data]
    lines = [second, *(cells[: len(header)] for cells in data)]
    path = tmp_path / name
    if name == "x.parquet":
        pd.DataFrame(lines, columns=header).to_parquet(path)
    elif name == "x.xlsx":
        pytest.importorskip("openpyxl")
        pd.DataFrame(lines, columns=header).to_excel(path, index=False)
    else:
        path.write_text("\n".join((",", "\t")[name == "x.tsv"].join(cells) for cells in [header, *lines]))
    table = read_corpus(path)
    assert list(dict.fromkeys(table["image"])) == ["1.jpg", "2.jpg", "图片.jpg"]
    assert any(text.startswith(("rows with names of", "headers in the")) for text in table.attrs["files"][0]["notes"])


@pytest.mark.parametrize("row", [["图片", "一张图片"], ["image", "a dog"], ["photo", "two dogs run"]])
def test_images_with_such_names_stay(tmp_path, row):
    (tmp_path / "x.csv").write_text("\n".join(map(",".join, [["image", "caption"], ["1.jpg", "a cat sleeps"], row])))
    assert list(read_corpus(tmp_path / "x.csv")["image"]) == ["1.jpg", row[0]]


PIVOTS = {
    "numbers": ([",caption,caption,score,score", "rank,0,1,0,1", "image,,,,"], f"{DOG},{GIRL},0.6,0.5"),
    "names": ([",caption,score,score", ",first,mean,max", "image,,,"], f"{DOG},0.6,0.5"),
    "captions below": ([",甲,甲,乙,乙", ",描述,审核,描述,审核", "图片,,,,"], f"{DOG},合格,{GIRL},合格"),
    "merged cells": ([",caption,,score,", "rank,0,1,0,1", "image,,,,"], f"{DOG},{GIRL},0.6,0.5"),
}


@pytest.mark.parametrize("case", PIVOTS)
def test_a_pivot_of_pandas_has_three_rows(write, case):
    header, row = PIVOTS[case]
    table = read_corpus(write("x.csv", "\n".join([*header, f"001.jpg,{row}", f"002.jpg,{row}"])))
    captions = [text for text in row.split(",") if text in (DOG, GIRL)]
    expected = [(image, text) for image in ("001.jpg", "002.jpg") for text in captions]
    assert list(zip(table["image"], table["caption"], strict=True)) == expected
    notes = table.attrs["files"][0]["notes"]
    assert any(text.startswith("columns of a header of three rows, read as one (") for text in notes), notes
    assert not table.attrs["skipped"]
