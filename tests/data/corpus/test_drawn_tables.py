"""Tables that are drawn with characters: their cells, of which some go on in the next line, and what is reported."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, notes, rows

from caption_tx.data.corpus.drawn.cell_lines import JOINED, UNESCAPED
from caption_tx.data.corpus.drawn.grids import CONTINUED, SPANNED
from caption_tx.data.corpus.drawn.wiki import FILES
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

LONG = [("a.jpg", "a dog runs over the green grass"), ("b.jpg", "a cat")]
GRID, SPACES, PSQL, WIKI = "a table drawn with lines", "aligned by spaces", "as psql prints it", "MediaWiki"
RULE, HEAD = "+-------+------------------+\n", "+=======+==================+\n"
NAMES = "| image | caption          |\n"
WRAPPED = "| a.jpg | a dog runs over  |\n|       | the green grass  |\n"


def line(name, text):
    return f"| {name:5} | {text} |\n"


CASES = {
    "grid, few wrapped": (
        f"# Title\n\n{RULE}{NAMES}{HEAD}{line('a.jpg', DOG[:4])}{line('', DOG[4:])}{RULE}{line('b.jpg', CAT)}{RULE}",
        ONE,
        {JOINED: 1, GRID: 1, "lines outside the table, not read (such as '# Title')": 1},
    ),
    "grid, all wrapped": (
        f"{RULE}{NAMES}{HEAD}{WRAPPED}{RULE}{WRAPPED.replace('a.jpg', 'b.jpg')}{RULE}",
        [LONG[0], ("b.jpg", LONG[0][1])],
        {JOINED: 2, GRID: 1},
    ),
    "grid, names cut and header wrapped": (
        "+------+----------+\n| file | a        |\n| name | caption  |\n+======+==========+\n| long | a dog    |\n"
        "| _nam | runs     |\n| e.jp |          |\n| g    |          |\n+------+----------+\n| b    | red-     |\n"
        "| .jpg | haired   |\n+------+----------+\n",
        [("long_name.jpg", "a dog runs"), ("b.jpg", "red-haired")],
        {JOINED: 6, GRID: 1},
    ),
    "grid, spanning cell": (
        f"{RULE}{NAMES}{HEAD}| a.jpg | one              |\n|       +------------------+\n"
        f"|       | two              |\n{RULE}",
        [("a.jpg", "one"), ("a.jpg", "two")],
        {SPANNED: 1, GRID: 1},
    ),
    "lines without rules between them": (
        f"{RULE}{NAMES}{RULE.replace('+', '|', 1)[:-2]}|\n{WRAPPED}{WRAPPED.replace('a.jpg', 'b.jpg')}{RULE}",
        [LONG[0], ("b.jpg", LONG[0][1])],
        {JOINED: 2, GRID: 1},
    ),
    "Org": (
        f"#+TITLE: x\n{NAMES}|-------+------------------|\n{line('a.jpg', DOG)}|-------+----|\n{line('b.jpg', CAT)}",
        ONE,
        {GRID: 1},
    ),
    "MySQL": (
        f"mysql> select *;\n{RULE}{NAMES}{RULE}{line('a.jpg', 'a')[:-3]}\ndog |\n"
        f"{line('b.jpg', CAT)}{RULE}2 rows in set\n",
        [("a.jpg", "a\ndog"), ONE[1]],
        {"multi-line captions": 1, GRID: 1},
    ),
    "bars in cells": (f"{RULE}{NAMES}{RULE}| a.jpg | a | b            |\n{RULE}", [("a.jpg", "a | b")], {GRID: 1}),
    "bars in cells that are not aligned": (
        f"{RULE}{NAMES}{RULE}| a.jpg | 一|只 |\n{RULE}", [("a.jpg", "一|只")], {GRID: 1},
    ),
    "backslashes": (
        f"{RULE}{NAMES}{HEAD}| a\\_1.jpg | {DOG} |\n{RULE}{line('b.jpg', CAT)}{RULE}",
        [("a_1.jpg", DOG), ONE[1]],
        {GRID: 1, UNESCAPED: 1},
    ),
    "backslashes of a console": (
        f"{RULE}{NAMES}{RULE}| a.jpg | a \\* b           |\n{RULE}", [("a.jpg", "a \\* b")], {GRID: 1},
    ),
    "backslashes in aligned columns": (
        f"======= ======\nimage   caption\n======= ======\na\\_1.jpg {DOG}\nb.jpg   {CAT}\n======= ======\n",
        [("a_1.jpg", DOG), ONE[1]],
        {SPACES: 1, UNESCAPED: 1},
    ),
    "fewer cells": (
        f"{RULE}{NAMES}{HEAD}{line('a.jpg', DOG)}{RULE}{line('b.jpg', CAT)}{RULE}| c.jpg |\n{RULE}",
        ONE,
        {GRID: 1, "fewer cells than the table has columns (such as line 8)": 1},
    ),
    "quotation": (
        "".join(f"> {text}\n" for text in f"{RULE}{NAMES}{HEAD}{line('a.jpg', DOG)}{RULE}".splitlines()),
        ONE[:1],
        {GRID: 1},
    ),
    "Polars": (
        "shape: (1, 2)\n┌───────┬──────────┐\n│ image ┆ caption  │\n│ ---   ┆ ---      │\n│ str   ┆ str      │\n"
        f"╞═══════╪══════════╡\n│ a.jpg ┆ {DOG} │\n└───────┴──────────┘\n",
        ONE[:1],
        {GRID: 1},
    ),
    "CSV table": (
        '.. csv-table:: x\n   :header: "image", "caption"\n   :widths: 30, 70\n\n'
        f'   "a.jpg", "{DOG}"\n   "b.jpg", "{CAT}"\n\nText\n',
        ONE,
        {"a CSV table": 1, "lines outside the table, not read (such as 'Text')": 1},
    ),
    "boxes with types": (
        "┌───────┬──────────┐\n│ image │ caption  │\n│ text  │ varchar  │\n├───────┼──────────┤\n"
        f"│ a.jpg │ {DOG} │\n│ b.jpg │ {CAT} │\n└───────┴──────────┘\n",
        ONE,
        {GRID: 1},
    ),
    "psql, wrapped": (
        " image |   caption\n-------+------------\n a.jpg | a dog ru.\n       |.ns\n b.jpg | C++\n(2 rows)\n\n",
        [("a.jpg", "a dog runs"), ("b.jpg", "C++")],
        {CONTINUED: 1, PSQL: 1},
    ),
    "reStructuredText": (
        f"=====  ============\nimage  caption\n=====  ============\na.jpg  {DOG[:5]}\n       {DOG[5:]}\nb.jpg  {CAT}\n"
        "=====  ============\n",
        ONE,
        {JOINED: 1, SPACES: 1},
    ),
    "pandoc": (
        "----------------------\nimage   caption\n------- --------------\na.jpg   a dog runs\n        over the green\n"
        "        grass\n\nb.jpg   a cat\n\n------- --------------\n\n: Captions\n",
        LONG,
        {JOINED: 1, SPACES: 1, "lines outside the table, not read (such as ': Captions')": 1},
    ),
    "SQLite": (f"image       caption\n----------  -------\na.jpg       {DOG}\nb.jpg       {CAT}\n", ONE, {SPACES: 1}),
    "MediaWiki": (
        f'{{| class="wikitable"\n|+ Captions\n! image !! scope="col" | caption\n'
        f'|-\n| rowspan="2" | [[File:a.jpg|thumb]]\n'
        f"| {DOG}\n|-\n| {GIRL}\n|-\n| b.jpg || {CAT}\n|}}\n",
        [ONE[0], ("a.jpg", GIRL), ONE[1]],
        {SPANNED: 1, FILES: 1, WIKI: 1},
    ),
    "Jira": (f"||image||caption||\n|a.jpg|{DOG}|\n|b.jpg|{CAT}|\n", ONE, {"wiki markup": 1}),
    "DokuWiki": (f"^ image ^ caption ^\n| a.jpg | {DOG} |\n| b.jpg | {CAT} |\n", ONE, {"wiki markup": 1}),
    "AsciiDoc": (
        f"|===\n|image |caption\n\n|a.jpg\n|{DOG[:4]}\n{DOG[4:]}\n|b.jpg |{CAT}\n|===\n",
        ONE,
        {JOINED: 1, "AsciiDoc": 1},
    ),
    "list table": (
        f".. list-table:: x\n   :header-rows: 1\n\n   * - image\n     - caption\n   * - a.jpg\n     - {DOG[:4]}\n"
        f"       {DOG[4:]}\n   * - b.jpg\n     - {CAT}\n",
        ONE,
        {JOINED: 1, "a list table": 1},
    ),
    "MySQL, vertical": (
        f"*************************** 1. row ***************************\n  image: a.jpg\ncaption: {DOG}\n"
        f"*************************** 2. row ***************************\n  image: b.jpg\ncaption: {CAT}\n"
        "2 rows in set (0.00 sec)\n",
        ONE,
        {"records": 1},
    ),
    "psql, expanded": (
        f"-[ RECORD 1 ]---\nimage   | a.jpg\ncaption | {DOG}\n-[ RECORD 2 ]---\nimage   | b.jpg\ncaption | {CAT}\n",
        ONE,
        {"records": 1},
    ),
    "several tables": (
        f"{RULE}{NAMES}{RULE}{line('a.jpg', DOG)}{RULE}\n"
        f"{RULE}| tool  | version          |\n{RULE}| x     | y                |\n"
        f"{RULE}\n{RULE}{NAMES}{RULE}{line('b.jpg', CAT)}{RULE}",
        ONE,
        {"headers in the middle of the table": 1, GRID: 2, "tables with other columns, not read": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_drawn_table(write, name):
    content, expected, wanted = CASES[name]
    table = read_corpus(write("x.md", content))
    assert rows(table) == expected
    found = notes(table)
    assert len(found) == len(wanted), found
    for text, count in wanted.items():
        assert [value for note, value in found.items() if text in note] == [count], (text, found)
    assert not [item for item in table.attrs["skipped"] if name not in ("several tables", "fewer cells")]


def test_rare_lines_without_a_name_go_on_with_the_caption_above(write):
    lines = [line(f"{at}.jpg", DOG) for at in range(4)]
    head = f"{NAMES}|-------+------------------|\n"
    table = read_corpus(write("x.org", f"{head}{lines[0]}{line('', '，很快')}{''.join(lines[1:])}"))
    assert list(table["caption"]) == [f"{DOG}，很快", DOG, DOG, DOG] and notes(table)[JOINED] == 1
    table = read_corpus(write("y.org", f"{head}{lines[0]}{line('', CAT)}{line('1.jpg', CAT)}{line('', DOG)}"))
    assert rows(table) == [("0.jpg", DOG), ("0.jpg", CAT), ("1.jpg", CAT), ("1.jpg", DOG)]
    ended = f"{line('0.jpg', '狗跑。')}{line('', CAT)}{lines[1] * 200}"
    table = read_corpus(write("z.org", f"{head}{ended}"))
    assert table["caption"][0] == "狗跑。" and [number for _, number, _ in table.attrs["skipped"]] == [4]


def test_lines_as_wide_as_the_column_go_on_if_those_below_are_shorter(write):
    head = f"{NAMES}|-------+------------------|\n"
    table = read_corpus(write("x.org", f"{head}{line('0.jpg', DOG)}{line('', DOG)}{line('1.jpg', DOG)}"))
    assert rows(table) == [("0.jpg", DOG), ("0.jpg", DOG), ("1.jpg", DOG)]
    wrapped = "".join(f"{line(f'{at}.jpg', DOG)}{line('', '和跳')}" for at in range(2))
    table = read_corpus(write("y.org", f"{head}{wrapped}"))
    assert rows(table) == [("0.jpg", f"{DOG}和跳"), ("1.jpg", f"{DOG}和跳")] and notes(table)[JOINED] == 2


def test_lines_of_several_rows_are_not_joined(write):
    group = f"{line('a.jpg', DOG)}{line('b.jpg', CAT)}"
    table = read_corpus(
        write("x.org", f"{NAMES}|-------+----|\n{group}|-------+----|\n{group.replace('.jpg', '.png')}")
    )
    assert len(table) == 4
    table = read_corpus(write("y.md", f"{RULE}{NAMES}{HEAD}{group}{RULE}{line('c.jpg', GIRL)}{RULE}"))
    assert rows(table) == [*ONE, ("c.jpg", GIRL)]


def test_rules_of_markdown_are_no_blank_lines(write):
    table = read_corpus(write("x.md", f"| image | caption |\n|---|:--|\n| a.jpg | {DOG} |\n"))
    assert rows(table) == ONE[:1] and not table.attrs["skipped"]


def test_a_drawn_table_is_read_as_csv_if_the_user_says_so(write):
    table = read_corpus(write("x.md", f"{RULE}{NAMES}{RULE}{line('a.jpg', DOG)}{RULE}"), format="csv")
    assert rows(table) == ONE[:1]


def test_bars_behind_a_backslash_belong_to_a_cell_of_markdown(write):
    table = read_corpus(
        write("x.md", f"| image | caption |\n|---|---|\n| a.jpg | one \\| two |\n| b.jpg | {CAT} |\n\nText\n")
    )
    assert rows(table) == [("a.jpg", "one | two"), ONE[1]]
    assert any("bars behind a backslash" in note for note in notes(table))


def test_line_numbers_are_those_of_the_file(write):
    table = read_corpus(
        write("x.md", f"\nText\n\n{RULE}{NAMES}{HEAD}{WRAPPED}{RULE}| b.jpg | a cat            |\n{RULE}")
    )
    assert list(table["line"]) == [7, 10]


def test_a_drawn_table_without_captions_is_rejected(write):
    with pytest.raises(CorpusError, match="unknown caption format"):
        read_corpus(write("x.txt", f"{RULE}| tool  | version          |\n{RULE}| x     | 1.0              |\n{RULE}"))
