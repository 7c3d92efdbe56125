"""Caption files as grep, rg, cat and nl print them: the lines of the file, and what is reported."""

import shutil
import subprocess

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, notes, rows

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

GREP, NUMBERS, COUNTED, SHOWN = "grep and rg", "grep -n", "cat -n and nl", "cat -A"
TABS = [f"a.jpg\t{DOG}", f"b.jpg\t{CAT}"]
COMMAS = ["image,caption", f"a.jpg,{DOG}", f"b.jpg,{CAT}"]
OBJECTS = [f'{{"image": "a.jpg", "caption": "{DOG}"}}', f'{{"image": "b.jpg", "caption": "{CAT}"}}']
CASES = {
    "name and number": ("captions.txt:{}:", TABS, GREP),
    "name": ("data/captions.tsv:", TABS, GREP),
    "name of Windows": ("C:\\data\\captions.csv:{}:", COMMAS, GREP),
    "name and number, objects": ("captions.jsonl:{}:", OBJECTS, GREP),
    "number": ("{}:", COMMAS, NUMBERS),
    "number, objects": ("{}:", OBJECTS, NUMBERS),
    "padded": ("{:6d}\t", TABS, COUNTED),
    "padded, header": ("{:6d}\t", COMMAS, COUNTED),
    "padded, spaces": ("{:4d} ", [line.replace("\t", " ") for line in TABS], COUNTED),
    "padded, objects": ("{:6d}  ", OBJECTS, COUNTED),
}


@pytest.mark.parametrize("case", CASES)
def test_what_stands_before_lines_is_left_out(write, case):
    prefix, lines, kind = CASES[case]
    table = read_corpus(write("x.txt", "".join(f"{prefix.format(n)}{line}\n" for n, line in enumerate(lines, 1))))
    assert rows(table) == ONE
    assert {note: count for note, count in notes(table).items() if kind in note}.popitem()[1] == len(lines)


def test_lines_around_a_hit_and_headings(write):
    lines = f"captions.txt\n3:a.jpg\t{DOG}\n4-b.jpg\t{CAT}\n--\n9:c.jpg\t{GIRL}\n"
    table = read_corpus(write("x.txt", lines))
    assert rows(table) == [*ONE, ("c.jpg", GIRL)]
    assert notes(table)["lines between those of the file, not read (such as 'captions.txt')"] == 2
    table = read_corpus(write("y.txt", f"x.txt-3-a.jpg\t{DOG}\nx.txt:4:b.jpg\t{CAT}\nx.txt-5-c.jpg\t{GIRL}\n"))
    assert rows(table) == [*ONE, ("c.jpg", GIRL)]


def test_quoted_cells_keep_their_line_breaks(write):
    text = f'     1\timage,caption\n     2\ta.jpg,"{DOG}\n     3\t{GIRL}"\n     4\tb.jpg,{CAT}\n'
    assert rows(read_corpus(write("x.txt", text))) == [("a.jpg", f"{DOG}\n{GIRL}"), ("b.jpg", CAT)]


@pytest.mark.skipif(shutil.which("cat") is None, reason="needs cat")
@pytest.mark.parametrize(
    "text", [f"a.jpg\t{DOG} ^I\nb.jpg\t{CAT}\n", f"image,caption\r\na.jpg,{DOG}\r\nb.jpg,{CAT}\r\n"]
)
def test_marks_of_tabs_and_line_ends(write, text):
    path = write("x.txt", text)
    shown = subprocess.run(["cat", "-A", str(path)], capture_output=True, check=False)
    if shown.returncode or b"M-" not in shown.stdout:
        pytest.skip("another cat")
    table = read_corpus(write("y.txt", shown.stdout))
    assert rows(table) == ONE
    assert any(SHOWN in note for note in notes(table))
    assert rows(read_corpus(write("z.txt", f"a.jpg\t{DOG}$\nb.jpg\t{CAT}$\n"))) == ONE


ORDINARY = {
    "ids that count": (f"     1\t{DOG}\n     2\t{CAT}\n", [("1", DOG), ("2", CAT)]),
    "dollars": (f"a.jpg\t$x$ {DOG}$\nb.jpg\t$5$ {CAT}$\n", [("a.jpg", f"$x$ {DOG}$"), ("b.jpg", f"$5$ {CAT}$")]),
    "numbers that do not rise": (f"2:a.jpg\t{DOG}\n1:b.jpg\t{CAT}\n", [("2:a.jpg", DOG), ("1:b.jpg", CAT)]),
    "colons in names": (f"10:01.jpg\t{DOG}\n10:02.jpg\t{CAT}\n", [("10:01.jpg", DOG), ("10:02.jpg", CAT)]),
}


@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_lines_stay(write, case):
    text, expected = ORDINARY[case]
    assert rows(read_corpus(write("x.txt", text))) == expected


def test_text_files_that_grep_prints_are_named(write):
    with pytest.raises(CorpusError, match="is what grep prints of text files"):
        read_corpus(write("x.txt", f"a.txt:{DOG}\nb.txt:{CAT}\n"))
