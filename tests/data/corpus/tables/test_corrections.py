"""A column of corrected captions, often filled in some rows only, beside the original captions."""

import pytest
from corpus_cases import CAT, DOG, GIRL, jsonl, notes, rows

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.tables.corrections import SEVERAL, find_corrections
from caption_tx.errors import CorpusError

READ = [("a.jpg", GIRL), ("b.jpg", CAT)]
CASES = {
    "some rows": f"图片,初标描述,是否修改,修改后描述,质检员\na.jpg,{DOG},是,{GIRL},王\nb.jpg,{CAT},否,,王\n",
    "words for no correction": f"图片,描述,修改后\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},无需修改\n",
    "all rows": f"图片,原描述,修正描述\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{CAT}\n",
    "English": f"image,caption,caption_corrected\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},\n",
    "final": f"image,caption,final\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},same\n",
    "JSON": jsonl(
        {"image": "a.jpg", "caption": DOG, "revised_caption": GIRL},
        {"image": "b.jpg", "caption": CAT, "revised_caption": None},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_corrections_replace_the_original_captions(write, name):
    table = read_corpus(write("x.jsonl" if name == "JSON" else "x.csv", CASES[name]))
    assert rows(table) == READ
    found = notes(table)
    assert found["captions that were corrected, read instead of the original ones"] == (2 if name == "all rows" else 1)
    assert any(text.startswith("captions read from the ") and "where it is empty" in text for text in found)


@pytest.mark.parametrize(
    "names",
    [
        "caption,text",
        "caption,is_corrected,corrected_by",
        "描述,审核,审核意见",
        "描述,修改人,修改原因",
        "caption_1,caption_2,corrected_2",
    ],
)
def test_other_columns_are_no_corrections(names):
    assert find_corrections(names.split(","), 0) == []


@pytest.mark.parametrize(
    "header",
    [
        "original,corrected_1,corrected_2",
        "caption,corrected,corrected",
        "caption,corrected_A,corrected_B",
        "caption,caption_corrected_by_li,caption_corrected_by_wang",
        "caption,reviewer1_correction,reviewer2_correction",
        "caption,corrected caption,corrected caption (2nd pass)",
        "caption,revision_round_1,final",
        "描述,修改后描述,最终描述",
        "初标描述,一审修改后描述,二审修改后描述",
        "描述,修改1,修改2",
    ],
)
def test_the_last_of_several_corrections_counts(write, header):
    lines = f"a.jpg,{DOG},{GIRL},\nb.jpg,{GIRL},,{CAT}\nc.jpg,{DOG},{CAT},{GIRL}\nd.jpg,{GIRL},无需修改,\n"
    table = read_corpus(write("x.csv", f"image,{header}\n{lines}"))
    assert list(table["caption"]) == [GIRL, CAT, GIRL, GIRL]
    first, *others = reversed(header.split(","))
    found = notes(table)
    assert found["captions that were corrected, read instead of the original ones"] == 3 and found[SEVERAL] == 1
    rest = ", then ".join(map(repr, others))
    assert f"captions read from the column {first!r}, from {rest} where it is empty" in found


def test_the_final_and_higher_numbers_are_the_last(write):
    assert find_corrections(["caption", "final", "corrected_2", "corrected_1"], 0) == [1, 2, 3]


def test_each_of_several_captions_has_its_correction(write):
    lines = f"a.jpg,{DOG},{GIRL},,{CAT}\nb.jpg,{CAT},{DOG},{GIRL},\n"
    table = read_corpus(write("x.csv", f"image,caption_1,caption_2,corrected_1,corrected_2\n{lines}"))
    assert rows(table) == [("a.jpg", DOG), ("a.jpg", CAT), ("b.jpg", GIRL), ("b.jpg", DOG)]


def test_a_column_of_names_is_no_correction(write):
    table = read_corpus(write("x.csv", f"image,caption,final\na.jpg,{DOG},李梅\nb.jpg,{CAT},王强\n"))
    assert rows(table) == [("a.jpg", DOG), ("b.jpg", CAT)]


def test_columns_that_the_user_names_are_not_merged(write):
    path = write("x.csv", CASES["some rows"])
    assert len(read_corpus(path, caption_column=["初标描述", "修改后描述"])) == 3
    assert rows(read_corpus(path, caption_column=["初标描述"])) == [("a.jpg", DOG), ("b.jpg", CAT)]
    with pytest.raises(CorpusError, match="2 columns could be the caption"):
        read_corpus(write("y.csv", f"image,raw_caption,caption\na.jpg,{DOG},{GIRL}\nb.jpg,{CAT},{DOG}\n"))


def test_a_caption_that_is_marked_as_wrong_is_read_if_it_is_corrected(write):
    lines = f"图片,描述,对吗,应为\na.jpg,{CAT},错,{GIRL}\nb.jpg,{CAT},对,\nc.jpg,{DOG},错,\n"
    table = read_corpus(write("x.csv", lines))
    assert rows(table) == READ
    assert notes(table) == {
        "captions marked as not 对吗, left out": 1,
        "captions that were corrected, read instead of the original ones": 1,
        "captions read from the column '应为', from '描述' where it is empty": 1,
    }
