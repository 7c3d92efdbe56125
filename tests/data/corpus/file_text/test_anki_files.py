"""Exports of Anki, and image names in `<img>`."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.html_images import img_sources
from caption_tx.errors import CorpusError

TEXTS = ["一只狗在草地上跑", "两只猫, 在睡觉", "一个女孩在跳舞"]
NAMES = ["1.jpg", "2.jpg", "3.jpg"]
ROWS = list(zip(NAMES, TEXTS, strict=True))
TAGS = {
    "plain": '<img src="NAME">',
    "single quotes": "<img alt='' src='NAME' />",
    "no quotes": "<img src=NAME>",
    "wrapped": '<div><img class="x" src="NAME"><br></div>',
    "escaped": '"<img src=""NAME"">"',
}


def _pairs(table):
    return list(zip(table["image"], table["caption"], strict=True))


def _notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize("separator", [("tab", "\t"), ("Comma", ","), ("semicolon", ";"), ("|", "|")])
@pytest.mark.parametrize("reverse", [False, True])
def test_notes_of_two_fields(write, separator, reverse):
    word, sign = separator
    lines = [[f'"<img src=""{name}"">"', f'"{text}"'] for name, text in ROWS]
    lines = [cells[::-1] if reverse else cells for cells in lines]
    text = f"#separator:{word}\n#html:true\n" + "".join(f"{sign.join(cells)}\n" for cells in lines)
    table = read_corpus(write("x.txt", text))
    assert _pairs(table) == ROWS
    assert _notes(table)["notes of Anki, read by their fields"] == 3
    assert list(table["line"]) == [3, 4, 5]


def test_columns_about_the_notes_are_not_captions(write):
    above = "#separator:tab\n#html:true\n#guid column:1\n#notetype column:2\n#deck column:3\n#tags column:6\n"
    notes = "".join(
        f'G{name}]q;\t看图写话\t三年级\t"<img src=""{name}"">"\t{text}\t动物 三年级\n' for name, text in ROWS
    )
    table = read_corpus(write("x.txt", above + notes))
    assert _pairs(table) == ROWS
    assert _notes(table)["columns about the notes of Anki, not read (guid, notetype, deck, tags)"] == 4


def test_names_of_fields(write):
    above = "#separator:tab\n#html:true\n#columns:编辑\t图片\t描述\n"
    notes = "".join(f'第{name[0]}张的说明\t"<img src=""{name}"">"\t"{text}"\n' for name, text in ROWS)
    assert _pairs(read_corpus(write("x.txt", above + notes))) == ROWS
    with pytest.raises(CorpusError, match=r"2 columns could be the caption: 1 .*, 3 "):
        read_corpus(write("y.txt", above.replace("#columns:编辑\t图片\t描述\n", "") + notes))


def test_several_images_and_line_breaks_in_a_note(write):
    text = '#separator:tab\n"<img src=""1.jpg""><img src=""2.jpg"">"\t"一只\n狗"\n"<img src=""3.jpg"">"\t一只猫\n'
    table = read_corpus(write("x.txt", text))
    assert list(table["image"].unique()) == NAMES
    assert list(table["line"].unique()) == [2, 4]
    assert _notes(table)["captions of several images, read for each of them"] == 1


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("layout", ["x.csv", "x.txt", "x.jsonl"])
def test_names_in_html_are_unwrapped(write, tag, layout):
    cells = [(TAGS[tag].replace("NAME", name), text) for name, text in ROWS]
    if layout == "x.jsonl":
        content = "\n".join(json.dumps({"image": cell, "caption": text}) for cell, text in cells)
    elif layout == "x.txt":
        content = "".join(f"{cell}\t{text}\n" for cell, text in cells)
    else:
        cells = [(cell if tag == "escaped" else '"' + cell.replace('"', '""') + '"', text) for cell, text in cells]
        content = "image,caption\n" + "".join(f'{cell},"{text}"\n' for cell, text in cells)
    table = read_corpus(write(layout, content))
    assert _pairs(table) == ROWS
    [note] = [text for text in _notes(table) if text.startswith("image names in formulas, Markdown, HTML or objects")]
    assert note.endswith("read as '1.jpg')")


def test_several_images_in_a_cell(write):
    cell = '"<img src=""1.jpg""> <img src=""2.jpg"">"'
    table = read_corpus(write("x.csv", f"image,caption\n{cell},{TEXTS[0]}\n"))
    assert _pairs(table) == [("1.jpg", TEXTS[0]), ("2.jpg", TEXTS[0])]


@pytest.mark.parametrize(
    "cell", ["", "<b>狗</b>", '<img src="1.jpg"> 一只狗', '一只狗 <img src="1.jpg">', "<img>", "< 1.jpg"]
)
def test_text_beside_an_image_is_no_name(cell):
    assert img_sources(cell) == []
