"""Rows of tables that are no data: second headers, totals, and rows without an image and a caption."""

import pytest

from caption_tx.data.corpus.column_names import IMAGE_WORDS
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.corpus.tables.table_ends import NO_NAME_AND_CAPTION, SECOND_HEADER, TOTAL, why_no_caption


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["图片", "描述", ""], SECOND_HEADER),
        (["Image Path", "caption_2", "1"], SECOND_HEADER),
        (["image1", "caption", ""], None),
        (["dog.jpg", "描述", ""], None),
        (["图片", "图片里有一只狗", ""], None),
        (["图片", 3, ""], None),
        ([3, "描述", ""], None),
        (["共计12张", "", ""], TOTAL),
        (["1.jpg", "", ""], None),
        (["", "", "someone"], NO_NAME_AND_CAPTION),
        (["", None, ""], None),
    ],
)
def test_rows_without_a_caption_are_known_by_their_cells(cells, reason):
    assert why_no_caption(cells, Columns(image=0, captions=(1,))) == reason


def test_no_name_of_a_column_for_images_has_a_digit():
    assert not [word for word in IMAGE_WORDS if any(map(str.isdigit, word))]


@pytest.mark.parametrize("before", ["", "c.jpg,一只猫\n"], ids=["first", "later"])
def test_a_second_header_is_skipped_anywhere(write, before):
    path = write("x.csv", f"image,caption\n{before}fileName,caption_zh\na.jpg,一只狗在草地上跑\nb.jpg,两个人\n")
    table = read_corpus(path)
    assert list(table["image"])[-2:] == ["a.jpg", "b.jpg"]
    assert table.attrs["files"][0]["notes"]["rows with names of columns again, not read"] == 1
