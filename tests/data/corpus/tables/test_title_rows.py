"""Titles above the header of a table, and totals below its rows."""

import json

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus

CAPTIONS = ["两只猫在沙发上睡觉", "一个男孩在公园里放风筝", "老人坐在长椅上看报纸", "厨师正在把面条放进锅里"]
TITLE = "春季图片标注（第二批）"
KNOWN = ["把握程度", "描述", "图片", "重量"]
PARTLY = ["把握程度", "说明文字", "图号", "重量"]
UNKNOWN = ["把握程度", "句意", "画面号", "重量"]


def table_rows(suffix=""):
    return [["确定" if at % 2 else "拿不准", text, f"{at + 7}{suffix}", f"{at}kg"] for at, text in enumerate(CAPTIONS)]


TITLES = {
    "none": [],
    "a title": [[TITLE, "", "", ""]],
    "a title and an empty row": [[TITLE, "", "", ""], ["", "", "", ""]],
    "a repeated title": [[TITLE] * 4],
    "a title in the middle": [["", TITLE, "", ""]],
    "two titles": [[TITLE, "", "", ""], ["2026年3月", "", "", ""]],
    "a title and a line of two cells": [[TITLE, "", "", ""], ["负责人：李雷", "", "日期：三月", ""]],
    "a plain name as the title": [["标注", "", "", ""]],
    "keys and values": [["说明：", "请填写", "", ""], ["日期", "2026", "", ""], ["", "", "", ""]],
    "pandas": [[TITLE, "Unnamed: 1", "Unnamed: 2", "Unnamed: 3"]],
}
UNCLEAR = ("a title and a line of two cells", "a plain name as the title", "keys and values")


@pytest.fixture
def folder(tmp_path, write_pictures):
    write_pictures(tmp_path / "images", 4)
    for at in range(4):
        (tmp_path / "images" / f"{at:03d}.png").rename(tmp_path / "images" / f"{at + 7:05d}.png")
    return tmp_path


def write_excel(path, lines):
    book = pytest.importorskip("openpyxl").Workbook()
    for cells in lines:
        book.active.append([int(cell) if cell.isdecimal() else cell or None for cell in cells])
    book.save(path)


def write_table(path, lines):
    if path.suffix == ".xlsx":
        write_excel(path, lines)
    else:
        path.write_text("\n".join(("\t" if path.suffix == ".tsv" else ",").join(cells) for cells in lines) + "\n")
    return path


def captions_of(table):
    return [(image[-9:], caption) for image, caption in zip(table["image"], table["caption"], strict=True)]


EXPECTED = [(f"{at + 7:05d}.png", text) for at, text in enumerate(CAPTIONS)]


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv", "x.tsv"])
@pytest.mark.parametrize(
    ("header", "title"),
    # Above a header with few usual names, some titles could be the header.
    [(header, title) for header in (KNOWN, PARTLY) for title in TITLES if header is KNOWN or title not in UNCLEAR],
)
def test_titles_are_not_the_header(folder, name, header, title):
    path = write_table(folder / name, [*TITLES[title], header, *table_rows()])
    table = read_corpus(path, images=folder / "images")
    assert captions_of(table) == EXPECTED
    notes = table.attrs["files"][0]["notes"]
    above = sum(any(row) for row in TITLES[title])
    found = [count for text, count in notes.items() if text.endswith("before the header, not read")]
    assert found == ([above] if above else [])
    assert {reason for *_, reason in table.attrs["skipped"]} <= {"blank line"}
    assert not any(text.startswith("columns of a header") for text in notes)


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv", "x.tsv"])
@pytest.mark.parametrize("title", TITLES)
def test_named_columns_are_below_titles(folder, name, title):
    path = write_table(folder / name, [*TITLES[title], UNKNOWN, *table_rows()])
    table = read_corpus(path, images=folder / "images", caption_column=["句意"], image_column="画面号")
    assert captions_of(table) == EXPECTED
    only = read_corpus(path, images=folder / "images", caption_column=["句意"])
    assert captions_of(only) == EXPECTED


@pytest.mark.parametrize("title", [title for title in TITLES if title not in UNCLEAR])
def test_columns_are_found_by_contents_below_titles(folder, title):
    path = write_table(folder / "x.csv", [*TITLES[title], UNKNOWN, *table_rows(".png")])
    table = read_corpus(path, images=folder / "images")
    assert captions_of(table) == EXPECTED
    assert "columns found by their contents, since the header has other names" in table.attrs["files"][0]["notes"]


def parquet(path, names, data):
    pd.DataFrame(data, columns=names).to_parquet(path)


def records(path, names, data):
    path.write_text(json.dumps([dict(zip(names, cells, strict=True)) for cells in data]))


def google_query(path, names, data):
    cols = [{"id": chr(65 + at), "label": "" if name.isdecimal() else name} for at, name in enumerate(names)]
    path.write_text(json.dumps({"cols": cols, "rows": [{"c": [{"v": cell} for cell in cells]} for cells in data]}))


def google_sheet(path, names, data):
    head = [] if names[0].isdecimal() else [names]
    path.write_text(json.dumps({"range": "A1:D9", "majorDimension": "ROWS", "values": [*head, *data]}))


NUMBERS = ["0", "1", "2", "3"]


@pytest.mark.parametrize("write_data", [parquet, records, google_query, google_sheet])
@pytest.mark.parametrize("header", [KNOWN, PARTLY])
@pytest.mark.parametrize(
    ("names", "above"),
    [
        (NUMBERS, []),
        (NUMBERS, TITLES["a title"]),
        (NUMBERS, TITLES["a repeated title"]),
        (NUMBERS, TITLES["two titles"]),
        (TITLES["pandas"][0], []),
        (TITLES["pandas"][0], [["2026年3月", "", "", ""]]),
    ],
)
def test_a_row_names_the_columns_of_data_without_names(folder, write_data, header, names, above):
    path = folder / ("x.parquet" if write_data is parquet else "x.json")
    write_data(path, names, [*above, header, *table_rows()])
    table = read_corpus(path, images=folder / "images")
    assert captions_of(table) == EXPECTED
    assert not table.attrs["skipped"]
    notes = table.attrs["files"][0]["notes"]
    assert any("names of" in text for text in notes) or write_data is google_query
    named = read_corpus(path, images=folder / "images", caption_column=[header[1]], image_column=header[2])
    assert captions_of(named) == EXPECTED


@pytest.mark.parametrize("write_data", [parquet, records])
def test_numbered_columns_without_names_in_a_row_are_data(folder, write_data):
    path = folder / ("x.parquet" if write_data is parquet else "x.json")
    write_data(path, NUMBERS, table_rows(".png"))
    table = read_corpus(path, images=folder / "images", caption_column=["1"], image_column="2")
    assert captions_of(table) == EXPECTED


@pytest.mark.parametrize(
    "lines",
    [
        [["", "caption"], ["1.jpg", "a dog runs"], ["2.jpg", "two cats"]],
        [["", "caption", "score"], ["1.jpg", "a dog runs", "2"], ["2.jpg", "two cats", "3"]],
        [["image", ""], ["1.jpg", "a dog runs"], ["2.jpg", "two cats"]],
        [["image", "caption"], ["cover", "photo description"], ["1", "two cats"], ["2", "a dog"]],
        [["image", "caption", ""], ["photo_1", "text on a sign", "x"], ["photo_2", "two cats", "y"]],
    ],
)
def test_headers_that_lack_names_are_no_titles(write, lines):
    table = read_corpus(write("x.csv", "\n".join(map(",".join, lines))))
    assert len(table) == len(lines) - 1
    assert not any("before the header" in text for text in table.attrs["files"][0]["notes"])


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv"])
def test_titles_above_an_image_per_column(tmp_path, name):
    lines = [["问卷结果", "", ""], ["时间", "1.jpg", "2.jpg"], ["早", *CAPTIONS[:2]], ["晚", *CAPTIONS[2:]]]
    table = read_corpus(write_table(tmp_path / name, lines))
    assert sorted(table["caption"]) == sorted(CAPTIONS)
    notes = table.attrs["files"][0]["notes"]
    assert [count for text, count in notes.items() if text.endswith("before the header, not read")] == [1]


def test_a_title_may_have_line_breaks(write):
    table = read_corpus(write("x.csv", f'"{TITLE}\n（内部）",\nimage,caption\n1.jpg,a dog runs\n2.jpg,two cats\n'))
    assert list(table["caption"]) == ["a dog runs", "two cats"]


@pytest.mark.parametrize("total", ["共计12张", "合计：12", "Total: 12", "total 12 images", "小计", "以上共12张图片。"])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("name", ["x.xlsx", "x.csv"])
def test_totals_are_named(folder, name, total, at):
    row = [""] * 4
    row[at] = total
    path = write_table(folder / name, [KNOWN, *table_rows(), row, ["", "", "", "5kg"]])
    table = read_corpus(path, images=folder / "images")
    assert captions_of(table) == EXPECTED
    reasons = [(line, reason) for _, line, reason in table.attrs["skipped"]]
    assert reasons == [(6, "a total, not a caption"), (7, "no image name and no caption")]
