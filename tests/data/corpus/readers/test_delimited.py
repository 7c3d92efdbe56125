"""CSV, TSV, Flickr30k and OFA: quotes, separators and fields."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def notes(table):
    return table.attrs["files"][0]["notes"]


def reasons(table):
    return [item[1:] for item in table.attrs["skipped"]]


def test_csv_with_quotes_commas_and_line_breaks(write):
    text = 'image,caption\na.jpg,"one, ""two""\nthree"\n\nb.jpg,four\nc.jpg,\nd.jpg\n'
    table = read_corpus(write("captions.txt", text))
    assert rows(table, "image", "caption", "line") == [("a.jpg", 'one, "two"\nthree', 2), ("b.jpg", "four", 5)]
    assert [item[1:] for item in table.attrs["skipped"]] == [(4, "blank line"), (6, "no caption"), (7, "no caption")]


def test_unquoted_commas_belong_to_the_caption_in_the_last_of_two_columns(write):
    table = read_corpus(write("x.csv", 'filename,comment\na.jpg, a man, in "red", walks \n'))
    assert list(table.caption) == ['a man, in "red", walks']
    assert notes(table) == {"captions with unquoted separators": 1}
    with pytest.raises(CorpusError, match=r"y\.csv, line 2: 3 fields, but the header has 2; quote"):
        read_corpus(write("y.csv", "caption,image\na,b,c.jpg\n"))


def test_multi_line_captions_are_counted(write):
    table = read_corpus(write("x.csv", 'image,caption\nx.jpg,"one\ntwo"\ny.jpg,"three"\nz.jpg,"\nfour\n"\n'))
    assert list(table.caption) == ["one\ntwo", "three", "four"]
    assert notes(table) == {"multi-line captions": 1}


def test_invalid_quote_within_a_line_is_an_error(write):
    good = "".join(f"{index}.jpg,one\n" for index in range(20))
    table = read_corpus(write("x.csv", f'image,caption\n{good}b.jpg,"Stop" says the sign\nc.jpg,last\n'))
    assert list(table.image)[-1] == "c.jpg"
    assert [item[0] for item in reasons(table)] == [22]
    assert "',' expected after '\"'" in reasons(table)[0][1]


def test_unclosed_quote_rejects_a_csv(write):
    good = "".join(f"{index}.jpg,one\n" for index in range(20))
    with pytest.raises(CorpusError, match=r"x\.csv, line 22: .*a quote inside as two"):
        read_corpus(write("x.csv", f'image,caption\n{good}b.jpg,"Stop\n{good}{good}'))
    with pytest.raises(CorpusError, match=r"z\.csv, line 22: unexpected end of data; .*a quote inside as two"):
        read_corpus(write("z.csv", f'image,caption\n{good}b.jpg,"Stop'))
    with pytest.raises(CorpusError, match=r"y\.csv, line 22: .*a quote inside as two"):
        read_corpus(write("y.csv", f'image,caption\n{good}b.jpg,"Stop\n{good * 2000}'))


def test_too_large_field_is_an_error(write):
    good = "".join(f"{index}.jpg,one\n" for index in range(20))
    table = read_corpus(write("x.csv", f"image,caption\n{good}b.jpg,{'x' * 200_000}\nc.jpg,last\n"))
    assert reasons(table) == [(22, "field larger than field limit (131072)")]


def test_unclosed_quotes_of_a_tsv_are_text(write):
    table = read_corpus(
        write("b.tsv", 'image\tcaption\na.jpg\t"Stop" says the sign\nb.jpg\tthe sign 12"\n\nc.jpg\t"!\n')
    )
    assert list(table.caption) == ['"Stop" says the sign', 'the sign 12"', '"!']
    assert reasons(table) == [(4, "blank line")]
    table = read_corpus(write("c.tsv", 'image\tcaption\na.jpg\t"quoted"\n\nb.jpg\tb\nc.jpg\t"open\n'))
    assert rows(table, "image", "caption", "line") == [
        ("a.jpg", '"quoted"', 2),
        ("b.jpg", "b", 4),
        ("c.jpg", '"open', 5),
    ]
    assert reasons(table) == [(3, "blank line")]


def test_stray_quotes_of_a_tsv_do_not_merge_rows(write):
    table = read_corpus(write("x.tsv", 'image\tcaption\nx.jpg\t"He said hi\ny.jpg\ta dog\nz.jpg\ta cat"\n'))
    assert rows(table, "image", "caption", "line") == [
        ("x.jpg", '"He said hi', 2),
        ("y.jpg", "a dog", 3),
        ("z.jpg", 'a cat"', 4),
    ]
    table = read_corpus(write("y.tsv", 'image\tcaption\nx.jpg\t"in ""quotes"""\n'))
    assert list(table.caption) == ['in "quotes"']


def test_missing_separator_of_flickr30k_is_restored(write, samples):
    table = read_corpus(write("results.csv", samples["flickr30k"][1]))
    assert notes(table) == {"missing separators restored": 1}


def test_long_lines_of_ofa(write, image_base64):
    image = image_base64 * 3000  # a megabyte
    table = read_corpus(
        write("x.tsv", "".join(f"{index}\tid{index}\t一只狗{index}\t\t{image}\n" for index in range(4)))
    )
    assert table.attrs["files"][0]["format"] == "ofa"
    assert rows(table, "image", "caption") == [(f"id{index}", f"一只狗{index}") for index in range(4)]


def test_separators_in_captions_between_tabs(write):
    lines = [f"IMG_{at}.JPG\t" + "&&".join(f"一只狗在草地上跑{at}{part}" for part in "甲乙丙") for at in range(4)]
    table = read_corpus(write("x.tsv", "image\tcaptions\n" + "\n".join(lines) + "\n"))
    assert table.attrs["files"][0]["format"] == "tsv"
    assert list(table.image) == [f"IMG_{at}.JPG" for at in range(4) for _ in range(3)]
