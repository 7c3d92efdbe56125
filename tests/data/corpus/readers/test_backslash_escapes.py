"""Tables with backslash escapes: CSV of MySQL and Spark, and the unquoted tables of MySQL and PostgreSQL."""

import pytest

from caption_tx.data.corpus.table import read_corpus

DOG, CAT = "一只狗在草地上跑", "两只猫在睡觉"
ROWS = [
    ("a.jpg", DOG),
    ("b.jpg", '墙上写着"禁止停车", 旁边坐着一个女人'),
    ("c.jpg", "一个女人\n光着脚站在楼梯上"),
    ("d.jpg", '招牌上写着"C:\\>"'),
]
LINES = rf"""1,"a.jpg","{DOG}"
1,"b.jpg","墙上写着\"禁止停车\", 旁边坐着一个女人"
1,"c.jpg","一个女人\
光着脚站在楼梯上"
1,"d.jpg","招牌上写着\"C:\\>\""
1,"e.jpg",\N
1,"f.jpg","\N"
"""


@pytest.mark.parametrize("header", ["", "n,image,caption\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_backslashes_are_escapes_if_rows_are_then_alike(write, header, separator):
    if separator == "\t" and not header:
        pytest.skip("a table with tabs and without a header is read by another reader")
    plain = [f'1,"{index}.jpg","{CAT}"' for index in range(20)]
    lines = [*header.splitlines(), *plain, *LINES.splitlines()]
    text = "\n".join(line.replace(",", separator, 2) for line in lines)
    table = read_corpus(write("x.csv", text))
    assert list(zip(table["image"], table["caption"], strict=True))[20:] == ROWS
    notes = table.attrs["files"][0]["notes"]
    assert notes['lines with \\" for a quote, as MySQL writes it, which is read'] == 2
    assert notes["cells \\N, which stand for a missing value, read as empty"] == 2
    assert [reason for *_, reason in table.attrs["skipped"]] == ["no caption", "no caption"]


def test_other_backslashes_stay(write):
    table = read_corpus(write("x.csv", f'image,caption\na.jpg,"{DOG}\\"\nb.jpg,"{CAT} \\n"\n'))
    assert list(table["caption"]) == [f"{DOG}\\", f"{CAT} \\n"]
    good = "".join(f"{index}.jpg,{DOG}\n" for index in range(30))
    table = read_corpus(write("y.csv", f'image,caption\n{good}b.jpg,"x \\"y\\" z"\nc.jpg,"one "two" three"\n'))
    reasons = [reason for *_, reason in table.attrs["skipped"]]
    assert len(table) == 30
    assert all('(\\" is not CSV: write a quote inside a cell as "")' in reason for reason in reasons), reasons


PLAIN = [f"{index}.jpg|{DOG}" for index in range(6)]
UNQUOTED = [("t.jpg", "牌子 禁止停车"), ("l.jpg", "一个女人\n光着脚站着"), ("b.jpg", "C:\\dir 里的狗")]
BREAK, TWO_CHARACTERS = "l.jpg|一个女人\\\n光着脚站着", r"l.jpg|一个女人\n光着脚站着"
TABS = [r"t.jpg|牌子\t禁止停车", TWO_CHARACTERS, r"b.jpg|C:\\dir 里的狗"]
COMMAS = ["t.jpg|牌子 禁止停车", BREAK, r"b.jpg|C:\\dir 里的狗", r"n.jpg|\N"]
TABLES = {  # "|" stands for the separator
    "INTO OUTFILE": ("", "\t", [r"t.jpg|牌子\|禁止停车", BREAK, r"b.jpg|C:\\dir 里的狗", r"n.jpg|\N"]),
    "COPY": ("", "\t", [*TABS, r"n.jpg|\N", r"\."]),
    "mysql -B": ("name|caption", "\t", [*TABS, "n.jpg|NULL"]),
    "commas": ("image|caption", ",", COMMAS),
    "no header": ("", ",", COMMAS),
    "#0": ("", "#0\t", [TABS[0], BREAK, TABS[2], r"n.jpg|\N"]),
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", TABLES)
def test_unquoted_tables_of_databases(write, name, end):
    header, separator, lines = TABLES[name]
    text = end.join(line.replace("|", separator) for line in [header, *PLAIN, *lines] if line)
    table = read_corpus(write("x.txt" if separator != "," else "x.csv", text.encode()))
    assert list(zip(table["image"], table["caption"], strict=True))[6:] == UNQUOTED
    notes = table.attrs["files"][0]["notes"]
    assert sum(count for note, count in notes.items() if note.startswith("lines with backslash escapes")) in (2, 3)
    assert ("cells \\N, which stand for a missing value, read as empty" in notes) == (r"n.jpg|\N" in lines)
    assert [line for _, line, _ in table.attrs["skipped"]] == [10 + len(header[:1]) + text.count("\\" + "\n")]


def test_escaped_separators_stay_in_their_cell(write):
    lines = ["image,caption", *(line.replace("|", ",") for line in PLAIN), r"c.jpg,一只狗\, 两只猫", r"n.jpg,\N"]
    assert list(read_corpus(write("x.csv", "\n".join(lines)))["caption"])[6:] == ["一只狗, 两只猫"]
    lines = [f"{at}\t{line.replace('|', chr(9))}{at}\t\\N" for at, line in enumerate(PLAIN)]
    lines.append("7\ta.jpg\t一只\\\t狗\t2020")
    assert list(read_corpus(write("y.txt", "\n".join(lines)))["caption"])[6:] == ["一只 狗"]


@pytest.mark.parametrize(
    "lines",
    [
        [r"photos\new.jpg|一只狗", r"photos\tom.jpg|两只猫", r"x.jpg|\N"],  # paths
        [r"C:\photos\a.jpg|一只狗"],
        [r"z.jpg|一个写着\n的牌子"],
        ["a.jpg|颜文字\\", "b.jpg|两只猫"],  # the next line is a row of its own
        [r"a.jpg|写着\d的牌子", r"b.jpg|\N"],
    ],
)
def test_backslashes_in_texts_and_paths_stay(write, lines):
    table = read_corpus(write("x.txt", "\n".join(line.replace("|", "\t") for line in [*PLAIN, *lines])))
    kept = [tuple(line.split("|")) for line in lines if not line.endswith(r"\N")]
    assert list(zip(table["image"], table["caption"], strict=True))[6:] == kept


def test_a_column_that_is_empty_in_most_rows_is_no_part_of_the_caption(write):
    lines = [f"{at}\t{line.replace('|', chr(9))}{at}\t{'' if at else '2020-01-01'}" for at, line in enumerate(PLAIN)]
    table = read_corpus(write("x.txt", "\n".join(lines)))
    assert list(table["caption"]) == [f"{DOG}{at}" for at in range(6)]
    assert table.attrs["files"][0]["notes"]["columns not read (1, 4)"] == 2
