"""Captions that lost their characters to a wrong encoding, or their ends to an export, are reported."""

import textwrap

import pytest

from caption_tx.data.corpus.damaged_text import is_damaged
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.truncation import find_truncated

CAPTION = "一只狗在草地上奔跑"
DAMAGED = [
    "?????????",
    "？？？？",
    "锟斤拷锟斤拷一锟斤拷",
    "一只\ufffd\ufffd在跑",
    CAPTION.encode().decode("latin-1"),
    CAPTION.encode().decode("cp1252", "replace"),
    CAPTION.encode().decode("latin-1")[:-1],
]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_texts(text):
    assert is_damaged(text)


@pytest.mark.parametrize(
    "text", [CAPTION, "真的吗？", "what??", "un café à l'été", "Beyoncé——歌手", "Müßiggänger über Flüssen", "niño «sí»"]
)
def test_texts_in_order(text):
    assert not is_damaged(text)


def test_they_are_read_and_reported(tmp_path):
    lines = [f"{index}.jpg\t{text}" for index, text in enumerate([CAPTION, *DAMAGED[:3], CAPTION])]
    (tmp_path / "x.tsv").write_text("image\tcaption\n" + "\n".join(lines), encoding="utf-8")
    table = read_corpus(tmp_path / "x.tsv")
    assert len(table) == 5
    note = "captions damaged by a wrong encoding, read as they are (such as line 3)"
    assert table.attrs["files"][0]["notes"][note] == 3


LONG = [
    "两个男人在红色的建筑物前面交谈" * 2,
    "一个穿着白色连衣裙的女孩在沙滩上跑步",
    "一只棕色的狗叼着飞盘穿过草地跑向主人",
]
LONG_ENGLISH = [
    "two men in dark suits talk to each other",
    "a girl in a white dress runs along",
    "dogs chase a red frisbee",
]
SHORT = ["一只狗", "两只猫在睡觉"]


def cut(texts, width, mark="..."):
    return [text[:width] + mark for text in texts] + SHORT


@pytest.mark.parametrize(
    ("captions", "text"),
    [
        (cut(LONG, 12), "end with '...' after 15 characters,"),
        (cut(LONG, 12, "……"), "end with '……' after 14 characters,"),
        (cut(LONG, 12, "… 展开全文"), "end with '… 展开全文' after 18 characters,"),
        (cut(LONG_ENGLISH, 20, " [...]"), "end with '[...]' after 26 characters,"),
        (["一只棕色的狗...", "two people s...", "两只猫和dogs...", "狗"], "end with '...' after 15 columns,"),
        (
            [textwrap.shorten(f"{text} {text}", 40, placeholder="...") for text in LONG_ENGLISH * 2],
            "at most 40 characters",
        ),
        (
            [f"{number} {LONG_ENGLISH[0]}"[:24] for number in range(10, 30)] + ["a dog", "a cat sits"],
            "end after 24 char",
        ),
    ],
)
def test_captions_that_were_cut_off(captions, text):
    found = find_truncated(captions)
    assert found is not None
    assert text in found.to_text()
    assert {captions[row] for row in found.rows} == {
        caption for caption in captions if len(caption) > 7 and " sits" not in caption
    }


@pytest.mark.parametrize(
    "captions",
    [
        SHORT,
        [f"{text}..." for text in (*LONG, *SHORT)],  # chatty, of any length
        [*cut(LONG, 12), LONG[0]],  # a longer one is complete
        [f"{text}……" for text in LONG[1:]],
        ["一只狗在草地上奔跑"] * 40,
        [f"a photo of a dog, number {number}." for number in range(10, 40)] + SHORT,
    ],
)
def test_captions_that_were_not_cut_off(captions):
    assert find_truncated(captions) is None


def test_cut_captions_are_read_and_reported(tmp_path):
    lines = [f"{index}.jpg\t{text}" for index, text in enumerate(cut(LONG, 12))]
    (tmp_path / "x.tsv").write_text("image\tcaption\n" + "\n".join(lines), encoding="utf-8")
    table = read_corpus(tmp_path / "x.tsv")
    note = "captions that end with '...' after 15 characters, as if cut off; export them in full if they were"
    assert table.attrs["files"][0]["notes"] == {note: 3}
    assert len(table) == 5
