"""Words that name boxes, with and without a word list."""

import pytest

from caption_tx.data.boxes.table import Box
from caption_tx.data.boxes.words import BoxWords, read_box_words
from caption_tx.errors import CorpusError

WHOLE = (0.0, 0.0, 1.0, 1.0)
BOXES = [
    Box(("dog",), WHOLE, "animals"),
    Box(("boxer",), WHOLE, "people"),
    Box(("boxer",), WHOLE, "animals"),
    Box(("boat", "ship"), WHOLE, "vehicles"),
]


def test_without_a_list_words_name_boxes_by_their_names():
    words = BoxWords()
    assert words.find(["A", "Dog", "near", "the", "ship"], BOXES) == {1: (0,), 4: (3,)}
    assert words.category("dog", BOXES[:1]) == "animals"
    other = [Box(("the",), WHOLE, "people", "the other")]
    assert words.find(["the", "other"], other) == {}
    assert words.could_name("dog") and not words.could_name("The")


@pytest.mark.parametrize(
    "text",
    [
        "狗\tdog,boxer\n船\tboat\n",
        "狗,dog,boxer\r\n船,boat\r\n",
        '狗,"dog, Boxer"\n\n# a comment\n船,boat\n',
        "zh\tcategory\theads\tloose\n狗\t\tdog,boxer\t\n船\tvehicles\tboat\t\n",
        '\ufeffword,names\n狗,"dog,boxer"\n船,boat\n',
    ],
)
def test_a_word_list_may_be_written_in_several_ways(tmp_path, text):
    (tmp_path / "words.tsv").write_text(text, encoding="utf-8")
    words = read_box_words(tmp_path / "words.tsv")
    assert words.find(["一只", "狗", "船"], BOXES) == {1: (0, 1, 2), 2: (3,)}
    assert words.could_name("狗") and not words.could_name("猫")


def test_names_of_animals_do_not_mean_people(tmp_path):
    (tmp_path / "words.tsv").write_text("zh\tcategory\theads\n狗\tanimals\tdog,boxer\n", encoding="utf-8")
    words = read_box_words(tmp_path / "words.tsv")
    assert words.find(["狗"], BOXES) == {0: (0, 2)}
    # Boxes of other corpora have other categories, or none.
    assert words.find(["狗"], [Box(("dog",), WHOLE), Box(("dog",), WHOLE, "animal")]) == {0: (0, 1)}


@pytest.mark.parametrize(("text", "line"), [("狗\tdog\n猫\n", 2), ("狗\tdog\n\tcat\n", 2), ("狗\t ,\n", 1)])
def test_lines_without_a_word_or_a_name_are_rejected(tmp_path, text, line):
    (tmp_path / "words.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"words.tsv, line {line}: expected a word, a tab and names"):
        read_box_words(tmp_path / "words.tsv")


def test_an_empty_list_is_rejected(tmp_path):
    (tmp_path / "words.tsv").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="has no word"):
        read_box_words(tmp_path / "words.tsv")


def test_the_real_list_has_nouns_with_categories(shared):
    words = read_box_words(shared / "data/flickr8k/boxes/nouns.tsv")
    assert len(words.entries) == 139
    assert words.entries["自行车"].category == "vehicles"
    assert "bicycle" in words.entries["自行车"].names
