"""First rows of tables that may be second headers with unusual names."""

import pytest
from corpus_cases import CAT, DOG

from caption_tx.data.corpus.table import read_corpus

NOTE = "a first row unlike the others ('商品图,商品标题'), read; remove it if it is a header"


@pytest.mark.parametrize(("first", "notes"), [("商品图,商品标题", {NOTE: 1}), (f"c.jpg,{DOG}", {})])
def test_a_first_row_without_a_file_name_is_reported(write, first, notes):
    table = read_corpus(write("x.csv", f"image,caption\n{first}\na.jpg,{DOG}在跑\nb.jpg,{CAT}\n"))
    assert len(table) == 3
    assert table.attrs["files"][0]["notes"] == notes


def test_rows_without_file_names_are_not_reported(write):
    table = read_corpus(write("x.csv", f"image,caption\n1,{DOG}\n2,{CAT}\n3.jpg,{DOG}在跑\n"))
    assert not table.attrs["files"][0]["notes"]
