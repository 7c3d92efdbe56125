"""Text files whose lines were broken at a width have one caption per paragraph."""

import textwrap

import pytest

from caption_tx.data.corpus.file_text.wrapped_lines import wrap_width
from caption_tx.data.corpus.table import read_corpus

CHINESE = "明亮的大厅里有一位左手叉腰的女士站在车子旁，一个左手叉着腰的女人站在房间里的汽车前面拍照{}。"
ENGLISH = "A woman with one hand on her hip stands beside a car in a bright hall, and {} people look at the wheels"
NOTE = "text files whose lines are broken after {} characters, joined"


def write_texts(folder, texts):
    for index, text in enumerate(texts):
        (folder / f"{index}.jpg").write_bytes(b"\xff")
        (folder / f"{index}.txt").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("caption", "width"), [(CHINESE, 20), (ENGLISH, 40)], ids=["zh", "en"])
def test_broken_lines_are_joined_and_reported(tmp_path, caption, width):
    captions = [caption.format(word) for word in ("two", "three", "four", "six", "seven")]
    wrap = textwrap.wrap if caption == ENGLISH else lambda text, width: [text[:width], text[width:40], text[40:]]
    write_texts(tmp_path, ["\n".join(wrap(text, width)) + "\n" for text in captions])
    table = read_corpus(tmp_path)
    assert table["caption"].tolist() == captions
    [note] = [note for note in table.attrs["files"][0]["notes"] if "broken" in note]
    assert note == NOTE.format(max(len(line) for text in captions for line in wrap(text, width)))


def test_captions_of_their_own_stay_lines(tmp_path):
    write_texts(tmp_path, ["一只狗在草地上奔跑追着球\n一只猫\n两个男人在打篮球\n"] * 6)
    assert len(read_corpus(tmp_path)) == 18
    assert wrap_width([["一个男人在打篮球的照片。", "一个女人在打篮球的照片。"]] * 9) is None


@pytest.mark.parametrize(
    "lines",
    [
        [
            "a photo of a small dog in the park",
            "a photo of a brown dog in the park",
            "a photo of a happy dog in a garden",
        ],
        ["一只白色的小狗正站在公园里面", "一只黑色的小狗正坐在花园里面", "一只棕色的大狗正跑在草地上面"],
    ],
    ids=["en", "zh"],
)
def test_lines_of_one_length_that_begin_alike_are_captions(tmp_path, lines):
    write_texts(tmp_path, ["\n".join(lines) + "\n"] * 6)
    table = read_corpus(tmp_path)
    assert table["caption"].tolist() == lines * 6
    assert not [note for note in table.attrs["files"][0]["notes"] if "broken" in note]
