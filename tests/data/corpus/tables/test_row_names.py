"""Tables whose header lacks the name of the row names, as R's `write.table` writes them."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.tables.row_names import NOTE

NUMBER = 12
CAPTIONS = [f"一只狗在第{index}条街上跑" for index in range(1, NUMBER + 1)]
NAMES = [f"{index:03}.jpg" for index in range(NUMBER, 0, -1)]


def _write_table(write, name, columns, separator="\t", row_names=None, quoted=True):
    """Writes columns as R does: the header has no name for the row names."""
    mark = '"' if quoted else ""
    rows = zip(row_names or map(str, range(1, NUMBER + 1)), *columns.values(), strict=True)
    lines = [list(columns), *rows]
    return write(name, "".join(separator.join(f"{mark}{cell}{mark}" for cell in cells) + "\n" for cells in lines))


def _pairs(table):
    return list(zip(table["image"], table["caption"], strict=True))


def _notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(("name", "separator"), [("x.txt", "\t"), ("x.csv", ","), ("x.txt", " ")])
@pytest.mark.parametrize("order", [("image", "caption"), ("caption", "image"), ("split", "image", "caption")])
def test_names_belong_to_the_cells_after_the_row_names(write, name, separator, order):
    columns = {"image": NAMES, "caption": CAPTIONS, "split": ["train"] * 8 + ["val"] * 2 + ["test"] * 2}
    path = _write_table(write, name, {key: columns[key] for key in order}, separator)
    table = read_corpus(path)
    assert _pairs(table) == list(zip(NAMES, CAPTIONS, strict=True))
    assert _notes(table)[NOTE] == 1
    assert "captions with unquoted separators" not in _notes(table)
    if "split" in order:
        assert list(table["split"]) == columns["split"]


def test_ids_are_those_of_the_column_and_not_the_row_names(write):
    ids = [str(7 * index % 13) for index in range(1, NUMBER + 1)]
    table = read_corpus(_write_table(write, "x.txt", {"id": ids, "caption": CAPTIONS}))
    assert _pairs(table) == list(zip(ids, CAPTIONS, strict=True))


@pytest.mark.parametrize("row_names", [[str(3 * index) for index in range(NUMBER)], [f"r{i}" for i in range(NUMBER)]])
def test_row_names_of_a_part_of_a_table(write, row_names):
    table = read_corpus(_write_table(write, "x.csv", {"image": NAMES, "caption": CAPTIONS}, ",", row_names))
    assert _pairs(table) == list(zip(NAMES, CAPTIONS, strict=True))


def test_row_names_that_are_image_names(write):
    people = ["李", "王"] * 6
    table = read_corpus(_write_table(write, "x.txt", {"caption": CAPTIONS, "annotator": people}, row_names=NAMES))
    assert _pairs(table) == list(zip(NAMES, CAPTIONS, strict=True))


def test_quotes_and_line_breaks_in_captions(write):
    quoted = [f'he calls \\"dog {index}\\", twice' for index in range(NUMBER)]
    table = read_corpus(_write_table(write, "x.csv", {"image": NAMES, "caption": quoted}, ","))
    assert table["caption"][3] == 'he calls "dog 3", twice'
    assert NOTE in _notes(table)
    broken = [f"{text}\n很快" for text in CAPTIONS]
    table = read_corpus(_write_table(write, "y.csv", {"image": NAMES, "caption": broken}, ","))
    assert table["image"].unique().tolist() == NAMES


def test_commas_in_unquoted_captions_stay_theirs(write):
    texts = [f"一只狗, {index} 岁{', 在跑' if index % 2 else ''}" for index in range(NUMBER)]
    table = read_corpus(_write_table(write, "x.csv", {"image": NAMES, "caption": texts}, ",", quoted=False))
    assert _pairs(table) == list(zip(NAMES, texts, strict=True))


def test_a_row_that_was_added_by_hand(write):
    path = _write_table(write, "x.txt", {"image": NAMES, "caption": CAPTIONS})
    path.write_text(path.read_text("utf-8") + "x.jpg\t一只猫\n", "utf-8")
    assert _pairs(read_corpus(path))[-1] == ("x.jpg", "一只猫")


@pytest.mark.parametrize(
    "text",
    [
        "image,caption\na.jpg,A dog, running\nb.jpg,A cat, asleep\nc.jpg,Two, 2\n",
        "id,caption\n1,A dog, running\n2,A cat, asleep\n3,2, two\n",
        "image_id,caption\n1,0,一只狗\n2,0,一只猫\n3,0,两只猫\n",
        "image,caption\na.jpg,17,一只狗\nb.jpg,18,一只猫\n",
        "id\tcaption\n1\t一只狗\t一条狗\n2\t一只猫\t两只猫\n",
        "caption,image\nA dog, running,a.jpg\nA cat, asleep,b.jpg\n" + "a bird,c.jpg\n" * 20,
        "image,caption\nIMG,001.jpg,一只狗\nIMG,002.jpg,一只猫\n",
    ],
)
def test_unquoted_separators_in_captions_and_names_are_no_row_names(write, text):
    assert NOTE not in _notes(read_corpus(write("x.tsv" if "\t" in text else "x.csv", text)))


def test_a_table_with_spaces_and_without_row_names(write):
    table = read_corpus(write("x.txt", '"image" "caption"\n"a.jpg" "a dog"\n"b.jpg" "a cat"\n'))
    assert _pairs(table) == [("a.jpg", "a dog"), ("b.jpg", "a cat")]
    assert _notes(table) == {"columns separated by spaces": 1}


@pytest.mark.parametrize("header", ['"","x"', ",0", ",V1", ",句"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_image_names_below_a_header_without_their_name(write, header, separator):
    table = read_corpus(
        write(
            "x.csv",
            header.replace(",", separator)
            + "\n"
            + "".join(
                f"{name}{separator}{text}\n"
                for name, text in (("a.jpg", "一只狗在跑"), ("b.jpg", "两只猫"), ("c.jpg", "一个人"))
            ),
        )
    )
    assert list(table["image"]) == ["a.jpg", "b.jpg", "c.jpg"]
    assert "columns found by their contents, since the header has other names" in table.attrs["files"][0]["notes"]


def test_lines_that_are_no_csv_have_no_row_names(write):
    text = 'image,caption\nx_42#0\t"one, ""two""\nthree"\nb.jpg,a man , in a hat, walks\nc.jpg,it says "go"\n'
    table = read_corpus(write("x.csv", text))
    assert _pairs(table)[1:] == [("b.jpg", "a man , in a hat, walks"), ("c.jpg", 'it says "go"')]
