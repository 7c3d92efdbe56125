"""Captions that lost their characters to a wrong encoding are reported."""

import pytest

from caption_tx.data.corpus.damaged_text import is_damaged
from caption_tx.data.corpus.table import read_corpus

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
