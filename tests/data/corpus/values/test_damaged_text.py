"""Captions that lost their characters to a wrong encoding, or their ends to an export, are reported."""

import textwrap

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.damaged_text import is_damaged, repair_text
from caption_tx.data.corpus.values.truncation import find_truncated

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
    "text",
    [
        CAPTION,
        "真的吗？",
        "what??",
        "un café à l'été",
        "Beyoncé——歌手",
        "Müßiggänger über Flüssen",
        "niño «sí»",
        "涓流不息的小河",
        "it’s “nice”",
        "25°C ½",
        "Привет",
        "żółć gęślą jaźń",
        "こんにちは",
    ],
)
def test_texts_in_order(text):
    assert not is_damaged(text)
    assert repair_text(text) is None


def as_latin(data):
    """Bytes as Windows shows them in a Latin code page."""
    return "".join(chr(byte) if byte in b"\x81\x8d\x8f\x90\x9d" else bytes([byte]).decode("cp1252") for byte in data)


ROOM = "房间里有三个穿T恤的人坐在桌子旁吃饭。"
REPAIRED = {
    "GBK": (as_latin(ROOM.encode("gbk")), ROOM),
    "UTF-8": (as_latin(ROOM.encode()), ROOM),
    "Latin-1": (ROOM.encode().decode("latin-1"), ROOM),
    "twice": (as_latin(as_latin(ROOM.encode()).encode()), ROOM),
    "Mac": (ROOM.encode().decode("mac_roman"), ROOM),
    "DOS": (ROOM.encode().decode("cp437"), ROOM),
    "UTF-8 as GBK": ("中文".encode().decode("gb18030"), "中文"),
    "Big5": (as_latin("三個人坐在桌子旁邊吃飯".encode("big5")), "三個人坐在桌子旁邊吃飯"),
    "English": ("itâ€™s a cafÃ©", "it’s a café"),
    "a part": (f"图1：{as_latin(ROOM.encode())}", f"图1：{ROOM}"),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_texts_in_a_wrong_encoding_are_repaired(name):
    text, expected = REPAIRED[name]
    assert repair_text(text) == expected


def test_they_are_read_repaired_and_reported(tmp_path):
    texts = [CAPTION, REPAIRED["GBK"][0], REPAIRED["UTF-8"][0]]
    names = ["a.jpg", as_latin("狗狗.jpg".encode()), as_latin("猫咪.jpg".encode("gbk"))]
    for name in ("a.jpg", "狗狗.jpg", "猫咪.jpg"):
        (tmp_path / name).write_bytes(b"\xff")
    rows = "\n".join(map("\t".join, zip(names, texts, strict=True)))
    (tmp_path / "x.tsv").write_text(f"image\tcaption\n{rows}", encoding="utf-8")
    table = read_corpus(tmp_path / "x.tsv", images=tmp_path)
    assert list(table["caption"]) == [CAPTION, ROOM, ROOM]
    assert list(table["image"]) == ["a.jpg", "狗狗.jpg", "猫咪.jpg"]
    notes = table.attrs["files"][0]["notes"]
    assert {text.partition(" (")[0]: count for text, count in notes.items()} == {
        "captions that an earlier program decoded with the wrong encoding, repaired": 2,
        "image names found after ignoring the wrong encoding of the names": 2,
    }


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
