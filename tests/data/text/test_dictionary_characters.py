"""User dictionaries with odd characters and struck-through words."""

import io

import pytest

from caption_tx.config import TextConfig
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.user_dictionary import dictionary_as_text, read_user_dictionary
from caption_tx.errors import ConfigError


def notes(tmp_path, text):
    (tmp_path / "words.txt").write_text(text, encoding="utf-8")
    return read_user_dictionary(tmp_path / "words.txt").notes


@pytest.mark.parametrize("sign", ["\u200b", "\u00ad", "\ufeff", "\u200e"])
def test_invisible_characters_are_reported(tmp_path, sign):
    [note] = notes(tmp_path, f"狗\n红色{sign}T恤\n草莓{sign}奶盖\n")
    assert note == (f"Read without invisible characters (U+{ord(sign):04X}): line 2 {f'红色{sign}T恤'!r} and 1 more.")
    segmenter = Segmenter(TextConfig(user_dictionary=str(tmp_path / "words.txt")))
    assert segmenter.segment("一件红色T恤")[-1] == "红色t恤"


def test_characters_of_a_private_font_are_reported(tmp_path):
    [note] = notes(tmp_path, "狗\n红色\ue0aaT恤\n")
    assert note.startswith("Read without characters of a private font (U+E0AA): line 2 ") and note.endswith(
        "correct them."
    )


def test_control_characters_are_reported(tmp_path):
    [note] = notes(tmp_path, "狗\n红色\x07T恤\n")
    assert note == f"Read without control characters (U+0007): line 2 {'红色' + chr(7) + 'T恤'!r}."
    [note] = notes(tmp_path, "狗\nLi\x07on\n")
    assert note == f"Read without control characters (U+0007): line 2 {'Li' + chr(7) + 'on'!r}."


@pytest.mark.parametrize(
    ("kind", "odd", "usual"),
    [
        ("full-width letters or digits (Ｍ)", "麦当劳Ｍ记", "麦当劳M记"),
        ("full-width letters or digits (５)", "５号楼", "5号楼"),
        ("half-width kana (ﾋ)", "ﾋﾟｶﾁｭｳ", "ピカチュウ"),
    ],
)
def test_widths_of_letters_are_reported_unless_they_are_folded(tmp_path, kind, odd, usual):
    (tmp_path / "words.txt").write_text(f"狗狗乐园\n{odd}\n老{odd}\n", encoding="utf-8")
    reports = {}
    for nfkc in (False, True):
        segmenter = Segmenter(TextConfig(nfkc=nfkc, user_dictionary=str(tmp_path / "words.txt")))
        assert (segmenter.segment(f"一{usual}")[-1] == usual.lower()) == nfkc
        reports[nfkc] = segmenter.dictionary_report()
    note = f"Entries with {kind}, which only text.nfkc (--nfkc) reads as ordinary, as in captions: line 2 {odd!r}"
    assert reports[False].notes == (f"{note} and 1 more.",)
    assert note in reports[False].to_text() and reports[True].notes == ()


def test_ordinary_entries_are_not_reported(tmp_path):
    assert notes(tmp_path, "狗\ncafé店\n👨\u200d👩\u200d👧\n") == ()


def book(fill):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    fill(workbook.active)
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def strike(*cells):
    from openpyxl.styles import Font

    for cell in cells:
        cell.font = Font(strike=True)


def test_struck_words_of_a_workbook_are_left_out(tmp_path):
    def fill(sheet):
        from openpyxl.cell.rich_text import CellRichText, InlineFont, TextBlock

        for row in (["词", "词频"], ["红色T恤", 10], ["草莓", 5], ["奶盖", 7]):
            sheet.append(row)
        strike(sheet["A3"], sheet["B4"])
        sheet["A5"] = CellRichText([TextBlock(InlineFont(strike=True), "旧"), "大红袍"])

    (tmp_path / "words.xlsx").write_bytes(book(fill))
    dictionary = read_user_dictionary(tmp_path / "words.xlsx")
    assert [(entry.word, entry.frequency) for entry in dictionary.entries] == [
        ("红色T恤", 10), ("奶盖", None), ("大红袍", None),
    ]  # fmt: skip
    assert "Left out as struck through: row 3 '草莓' and 2 more." in dictionary.notes
    assert "草莓" not in dictionary_as_text(tmp_path / "words.xlsx").decode()


def test_a_workbook_of_struck_words_is_rejected(tmp_path):
    def fill(sheet):
        sheet.append(["草莓"])
        strike(sheet["A1"])

    (tmp_path / "words.xlsx").write_bytes(book(fill))
    with pytest.raises(ConfigError, match=r"all words of the sheet 'Sheet' are struck through; remove the line"):
        read_user_dictionary(tmp_path / "words.xlsx")
