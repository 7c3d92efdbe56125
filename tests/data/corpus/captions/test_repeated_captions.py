"""Captions that occur twice for an image are reported if a file is a copy of another, or of a part of itself."""

import pytest

from caption_tx.data.checks.language import reading_notes
from caption_tx.data.corpus.summary import format_summary, summarize_corpus
from caption_tx.data.corpus.table import read_corpus

HEAD = "image,caption\n"
ROWS = [f"{number}.jpg,第{number}只狗在跑\n" for number in range(20)]
IN_FILE = "captions that repeat one of the same image, so that they count twice"


def in_other(path):
    return f"captions that {path} has for the same images too, so that they count twice"


def notes_of(table):
    return [file["notes"] for file in table.attrs["files"]]


@pytest.mark.parametrize(("shared", "total"), [(20, 20), (5, 20), (1, 20)])
def test_captions_of_an_earlier_file_are_counted(write, shared, total):
    first = write("captions.csv", HEAD + "".join(ROWS))
    others = [f"x{number}.jpg,另一只猫{number}\n" for number in range(total - shared)]
    copy = write("captions(1).csv", HEAD + "".join([*ROWS[:shared], *others]))
    table = read_corpus([first, copy])
    assert len(table) == 20 + total
    assert notes_of(table) == [{}, {in_other(first): shared}]
    assert any(note.endswith(f"{in_other(first)}: {shared}") for note in reading_notes(table, "zh"))
    assert f"  {in_other(first)}: {shared}" in format_summary(summarize_corpus(table)).splitlines()


def test_each_file_is_compared_with_those_before_it(write):
    paths = [write(f"{name}.csv", HEAD + "".join(ROWS)) for name in "abc"]
    assert notes_of(read_corpus(paths)) == [{}, {in_other(paths[0]): 20}, {in_other(paths[0]): 20}]


def test_a_file_that_was_appended_to_itself(write):
    path = write("captions.csv", HEAD + "".join(ROWS) + HEAD + "".join(ROWS[:12]))
    assert notes_of(read_corpus(path))[0][IN_FILE] == 12
    assert IN_FILE not in notes_of(read_corpus(write("few.csv", HEAD + "".join([*ROWS, ROWS[0]]))))[0]


def test_other_images_and_stages_and_chance_are_not_counted(write):
    first = write("a.csv", HEAD + "".join(ROWS))
    elsewhere = write("b.csv", HEAD + "".join(f"x{row}" for row in ROWS))
    assert notes_of(read_corpus([first, elsewhere])) == [{}, {}]
    assert notes_of(read_corpus([f"{first}:stage=1", f"{write('c.csv', HEAD + ''.join(ROWS))}:stage=2"])) == [{}, {}]
    many = [f"{number}.jpg,第{number}只猫在跑\n" for number in range(300)]
    large = [write(f"{name}.csv", HEAD + "".join([*many, f"0.jpg,{name}\n", ROWS[0]])) for name in "de"]
    large[1].write_text(large[1].read_text().replace("猫", "马"))
    assert notes_of(read_corpus(large)) == [{}, {}]
