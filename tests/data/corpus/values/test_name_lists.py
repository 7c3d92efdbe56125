"""Lists of keys for messages, and HTML as text."""

import pytest
from corpus_cases import DOG

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.html_text import html_text
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.errors import CorpusError


@pytest.mark.parametrize(
    ("names", "longest", "text"),
    [
        (["id", "width"], 200, "id, width"),
        ([], 200, ""),
        (["alpha", "beta", "gamma"], 15, "alpha, beta, .."),
        (["alpha", "beta", "gamma"], 11, "alpha, .."),
        (["alphabet"], 3, "alp"),
        (["p.1", "p.2", "p.3"], 200, "p.1, p.2, p.3"),
        ([f"p.{at}" for at in range(9)], 200, "p.0, p.1, .."),
        (["a", *(f"p.{at}.x" for at in range(9)), "z"], 200, "a, p.0.x, p.1.x, .., z"),
        ([f"-NUq1aB{at}cdEfgh" for at in "abcde"], 200, "-NUq1aBacdEfgh, -NUq1aBbcdEfgh, .."),
        (
            ["caption_zh", "caption_en", "caption_fr", "caption_de"],
            200,
            "caption_zh, caption_en, caption_fr, caption_de",
        ),
    ],
)
def test_keys_are_collapsed_and_cut_between_names(names, longest, text):
    assert list_names(names, longest) == text


def test_messages_show_the_first_of_numbered_keys(write):
    document = {"query": {str(at): {"size": at, "nr": {"kind": at}} for at in range(100, 300)}}
    with pytest.raises(CorpusError, match=r"with the keys '100, 101, \.\.' below"):
        read_corpus(write("x.json", document))
    entries = [{"image": "a.jpg", "caption": DOG, **{f"score_{at}": at for at in range(9)}}]
    notes = read_corpus(write("x.json", {**{f"part{at}": at for at in range(9)}, "items": entries})).attrs["files"][0]
    assert "keys not read (part0, part1, ..)" in notes["notes"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b & c", "a < b & c"),
        ("<p>a</p><p>b</p>", "a b"),
        ("<script>x()</script>a<br/>b &amp; c&nbsp;", "a b & c"),
        ("a <b>dog", "a dog"),
        ("</p>a", "a"),
    ],
)
def test_html_as_text(text, expected):
    assert html_text(text) == expected
