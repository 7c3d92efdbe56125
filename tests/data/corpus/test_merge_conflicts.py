"""Files with the marks of a merge conflict are errors, whatever they hold; single lines like the marks are not."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.text.user_dictionary import read_user_dictionary
from caption_tx.errors import ConfigError, CorpusError

MARKS = [
    ("<<<<<<< HEAD", "=======", ">>>>>>> origin/fixes"),
    ("<<<<<<< .mine", "||||||| .r1", "=======", ">>>>>>> .r2"),
]
LAYOUTS = {
    "x.csv": ("image,caption", "{n}.jpg,一只狗在第{n}条街"),
    "x.tsv": ("image\tcaption", "{n}.jpg\t一只狗在第{n}条街"),
    "pairs.txt": ("0.jpg\t一只猫", "{n}.jpg\t一只狗在第{n}条街"),
    "flickr.txt": ("0.jpg#zhc#0 一只猫", "{n}.jpg#zhc#0 一只狗在第{n}条街"),
    "x.jsonl": ('{{"image": "0.jpg", "caption": "一只猫"}}', '{{"image": "{n}.jpg", "caption": "一只狗"}}'),
    "x.json": ('{{"0.jpg": "一只猫",', '"{n}.jpg": "一只狗",'),
    "x.yaml": ("0.jpg: 一只猫", "{n}.jpg: 一只狗在第{n}条街"),
}


def _conflict(layout, marks, count=40):
    """A file with a conflict in the fourth line."""
    first, row = (line.format(n="{n}").replace("{{", "{").replace("}}", "}") for line in LAYOUTS[layout])
    rows = [row.replace("{n}", str(number)) for number in range(1, count)]
    sides = [line for at, mark in enumerate(marks) for line in (mark, *([rows[2]] if at < len(marks) - 1 else []))]
    return "\n".join([first, *rows[:2], *sides, *rows[3:]]) + "\n"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("count", [4, 100])
def test_a_conflict_is_an_error_that_names_its_line(write, layout, marks, count):
    message = rf"{layout}, line 4: unresolved merge conflict; keep one side and remove the lines with <<<<<<<, ======="
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(layout, _conflict(layout, marks, count)))


def test_a_conflict_with_the_line_breaks_of_windows(write):
    text = _conflict("x.csv", MARKS[0]).replace("\n", "\r\n")
    with pytest.raises(CorpusError, match=r"line 4: unresolved merge conflict"):
        read_corpus(write("x.csv", text.encode()))


def test_a_folder(write, tmp_path):
    write("captions.csv", _conflict("x.csv", MARKS[0]))
    with pytest.raises(CorpusError, match=r"captions\.csv, line 4: unresolved merge conflict"):
        read_corpus(tmp_path)


def test_text_files_beside_images(write, tmp_path):
    for name, text in {"a": "一只狗", "b": "<<<<<<< HEAD\n一只猫\n=======\n两只猫\n>>>>>>> fixes\n"}.items():
        write(f"{name}.jpg", b"\xff\xd8\xff")
        write(f"{name}.txt", text)
    with pytest.raises(CorpusError, match=r"b\.txt, line 1: unresolved merge conflict"):
        read_corpus(tmp_path)


def test_user_dictionaries(write):
    path = write("words.txt", "红色T恤\n<<<<<<< HEAD\n机器人\n=======\n机械人\n>>>>>>> fixes\n")
    with pytest.raises(ConfigError, match=r"words\.txt, line 2: unresolved merge conflict"):
        read_user_dictionary(path)


@pytest.mark.parametrize(
    "lines",
    [
        ["======="],
        ["<<<<<<< 看这里"],
        [">>>>>>> 下一页"],
        ["=======", ">>>>>>> x"],
        ["<<<<<<< x", ">>>>>>> x"],
        [">>>>>>> x", "=======", "<<<<<<< x"],
        ["<<<<<<<x", "=======", ">>>>>>>x"],
    ],
)
def test_single_lines_are_no_conflict(write, lines):
    rows = [f"{number}.jpg,一只狗在第{number}条街" for number in range(1, 60)]
    table = read_corpus(write("x.csv", "\n".join(["image,caption", *rows[:3], *lines, *rows[3:]])))
    assert len(table) == len(rows)


def test_marks_inside_captions(write):
    rows = [{"image": f"{mark[0]}.jpg", "caption": f"{mark} 一只狗"} for mark in ("<<<<<<<", "=======", ">>>>>>>")]
    table = read_corpus(write("x.jsonl", "\n".join(map(json.dumps, rows))))
    assert len(table) == len(rows)
