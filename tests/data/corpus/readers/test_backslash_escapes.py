"""CSV whose quotes have backslashes, as MySQL and Spark write it."""

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
