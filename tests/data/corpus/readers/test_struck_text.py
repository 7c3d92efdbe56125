"""Struck-through text in workbooks is deleted text; hidden rows, columns and sheets are read and reported."""

import pytest

from caption_tx.data.corpus.table import read_corpus

openpyxl = pytest.importorskip("openpyxl")
DOG, CAT, GIRL = "一只狗在草地上跑", "两只猫在沙发上睡觉", "一个女孩在吃苹果"
STRUCK = "captions marked as struck through, left out"
PARTS = "cells with struck-through text, which is left out"
HIDDEN = "rows that are hidden or filtered out in the workbook, read like the others"


@pytest.fixture
def save(tmp_path):
    """Writes a workbook: ~text~ is a struck-through run, a text that begins with ! is struck through as a whole."""

    from openpyxl.cell.rich_text import CellRichText, InlineFont, TextBlock

    def runs(text):
        parts = [(at % 2, part) for at, part in enumerate(text.split("~")) if part]
        return CellRichText([TextBlock(InlineFont(strike=True), part) if odd else part for odd, part in parts])

    def write(*table, change=lambda sheet: None):
        book = openpyxl.Workbook()
        sheet = book.active
        for number, texts in enumerate(table, 1):
            for at, text in enumerate(texts, 1):
                cell = sheet.cell(number, at, runs(text) if "~" in text else text.removeprefix("!"))
                if text.startswith("!"):
                    cell.font = openpyxl.styles.Font(strike=True)
        change(sheet)
        book.save(tmp_path / "x.xlsx")
        return tmp_path / "x.xlsx"

    return write


def read(path, **options):
    table = read_corpus(path, **options)
    return list(zip(table["image"], table["caption"], strict=True)), table.attrs["files"][0]["notes"], table


@pytest.mark.parametrize(
    ("table", "expected", "notes"),
    [
        ([["a.jpg", "一只~猫~狗在跑"], ["b.jpg", CAT]], [("a.jpg", "一只狗在跑"), ("b.jpg", CAT)], {PARTS: 1}),
        ([["a.jpg", f"~{DOG}~"], ["b.jpg", CAT]], [("b.jpg", CAT)], {STRUCK: 1}),
        ([["a.jpg", f"!{DOG}"], ["b.jpg", CAT]], [("b.jpg", CAT)], {STRUCK: 1}),
        ([["!a.jpg", f"!{DOG}"], ["b.jpg", CAT]], [("b.jpg", CAT)], {STRUCK: 1}),
        ([["!a.jpg", DOG], ["", GIRL], ["b.jpg", CAT], ["", DOG]], [("b.jpg", CAT), ("b.jpg", DOG)], {STRUCK: 2}),
        (
            [["a.jpg", f"!{DOG}"], ["", GIRL], ["b.jpg", CAT], ["", f"!{DOG}"]],
            [("a.jpg", GIRL), ("b.jpg", CAT)],
            {STRUCK: 2},
        ),
        ([["~old~a.jpg", DOG], ["b.jpg", CAT]], [("a.jpg", DOG), ("b.jpg", CAT)], {PARTS: 1}),
        ([["a.jpg", DOG], ["b.jpg", CAT]], [("a.jpg", DOG), ("b.jpg", CAT)], {}),
    ],
)
def test_struck_text_is_left_out(save, table, expected, notes):
    found, noted, _ = read(save(["image", "caption"], *table))
    assert found == expected
    assert {text: count for text, count in noted.items() if "struck" in text} == notes


def test_one_of_two_captions_and_a_mark(save):
    path = save(
        ["image", "caption_1", "caption_2", "rejected"], ["a.jpg", DOG, f"!{CAT}", "!1"], ["b.jpg", CAT, DOG, ""]
    )
    found, notes, _ = read(path)
    assert found == [("a.jpg", DOG), ("b.jpg", CAT), ("b.jpg", DOG)]
    assert notes[STRUCK] == 1


def test_struck_captions_can_be_kept(save):
    path = save(["image", "caption"], ["a.jpg", f"!{DOG}"], ["b.jpg", CAT])
    found, notes, _ = read(path, keep_rejected=True)
    assert found == [("a.jpg", DOG), ("b.jpg", CAT)]
    assert notes == {"captions marked as struck through, kept": 1}


def test_skipped_captions_have_their_rows(save):
    assert [
        item[1:] for item in read(save(["image", "caption"], ["a.jpg", f"!{DOG}"], ["b.jpg", CAT]))[2].attrs["skipped"]
    ] == [(2, "marked as struck through")]


def test_an_image_per_column(save):
    path = save(["a.jpg", "b.jpg", "c.jpg"], [DOG, f"!{CAT}", "一个~女~男孩"], [GIRL, CAT, DOG])
    found, notes, _ = read(path)
    assert found == [("a.jpg", DOG), ("c.jpg", "一个男孩"), ("a.jpg", GIRL), ("b.jpg", CAT), ("c.jpg", DOG)]
    assert (notes[STRUCK], notes[PARTS]) == (1, 1)


def test_hidden_rows_and_columns_are_reported(save):
    def hide(sheet):
        sheet.row_dimensions[2].hidden = True
        sheet.column_dimensions["B"].hidden = True

    found, notes, _ = read(save(["image", "caption"], ["a.jpg", DOG], ["b.jpg", CAT], change=hide))
    assert found == [("a.jpg", DOG), ("b.jpg", CAT)]
    assert notes == {HIDDEN: 1, "columns that are hidden in the workbook, read (caption)": 1}
