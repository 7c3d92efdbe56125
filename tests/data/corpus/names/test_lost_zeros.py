"""Image names with a decimal point that a spreadsheet or pandas took for numbers."""

import openpyxl
import pytest
from corpus_cases import notes, rows

from caption_tx.data.corpus.table import read_corpus

DOG, CAT, GIRL, BUS = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞", "一辆红色的公共汽车"


@pytest.fixture
def photos(write, tmp_path):
    for name in ("1987.1", "1987.10", "1987.12", "1987.20"):
        write(f"photos/{name}.jpg", b"\xff")
    return tmp_path / "photos"


def workbook(path, numbers):
    book = openpyxl.Workbook()
    book.active.append(["编号", "描述"])
    for number, text in zip(numbers, (DOG, CAT, GIRL, BUS), strict=True):
        book.active.append([number, text])
    book.save(path)
    return path


def test_captions_of_several_images_under_one_number_are_left_out(tmp_path, photos):
    table = read_corpus(workbook(tmp_path / "x.xlsx", [1987.1, 1987.10, 1987.12, 1987.20]), images=photos)
    assert rows(table) == [("1987.12.jpg", GIRL), ("1987.20.jpg", BUS)]
    found = notes(table)
    mixed = "captions of numbers that several image files could mean, left out (1987.1: 1987.1, 1987.10; "
    assert [count for text, count in found.items() if text.startswith(mixed)] == [2]
    assert found["image names read with zeros at the end that a program has dropped (such as 1987.2 for 1987.20)"] == 1
    assert [(line, reason) for _, line, reason in table.attrs["skipped"]] == [
        (2, "a number that several image files could mean"),
        (3, "a number that several image files could mean"),
    ]


def test_a_number_with_as_many_captions_as_others_is_read_as_it_is(write, photos):
    path = write("x.csv", f"image,caption\n1987.1,{DOG}\n1987.12,{CAT}\n")
    table = read_corpus(path, images=photos)
    assert rows(table) == [("1987.1.jpg", DOG), ("1987.12.jpg", CAT)]
    kept = "captions of numbers that several image files could mean, read as they are (1987.1: 1987.1, 1987.10; "
    assert [count for text, count in notes(table).items() if text.startswith(kept)] == [1]


@pytest.mark.parametrize("names", [("1987.1", "1987.10", "1987.12"), ("1987.1.jpg", "1987.1.jpg", "1987.12.jpg")])
def test_texts_have_lost_no_zeros(write, photos, names):
    lines = "".join(f"{name},{text}\n" for name, text in zip(names, (DOG, CAT, GIRL), strict=True))
    table = read_corpus(write("x.csv", f"image,caption\n{lines}"), images=photos)
    assert [name.removesuffix(".jpg") for name, _ in rows(table)] == [name.removesuffix(".jpg") for name in names]
    assert not any("number" in text or "zeros" in text for text in notes(table))


@pytest.mark.parametrize("index", ["", "index"])
def test_whole_numbers_that_became_floats_are_preferred_to_an_index(write, tmp_path, index):
    for number in range(3):
        write(f"photos/{number}.png", b"\xff")
    path = write("x.csv", f"{index},image_id,caption\n0,2.0,{DOG}\n1,0.0,{CAT}\n2,1.0,{GIRL}\n")
    assert rows(read_corpus(path, images=tmp_path / "photos")) == [("2.png", DOG), ("0.png", CAT), ("1.png", GIRL)]
