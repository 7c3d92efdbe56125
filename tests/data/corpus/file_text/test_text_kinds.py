"""Texts that hold captions in a form that is not read: the error says what they are and what to save."""

import pytest

from caption_tx.data.corpus.file_text.text_kinds import text_kind
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

TEXTS = ["一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"]
NAMES = ["1.jpg", "2.jpg", "3.jpg"]
PAIRS = list(zip(NAMES, TEXTS, strict=True))


def _join(form):
    return "\n".join(form.replace("NAME", name).replace("TEXT", text) for name, text in PAIRS)


KINDS = {
    "head.txt": (
        "\n".join(f"==> {name[0]}.txt <==\n{text}\n" for name, text in PAIRS),
        r"is several text files joined by head or tail \('==> 1\.txt <=='\); pass the folder of the text files",
    ),
    "grep.txt": (
        "\n".join(f"{name[0]}.txt:{text}" for name, text in PAIRS),
        r"is what grep prints of text files \('1\.txt:.*'\); pass the folder of the text files",
    ),
    "grep2.txt": ("\n".join(f"photos/{name[0]}.txt:1:{text}" for name, text in PAIRS), "is what grep prints of text"),
    "type.txt": (
        "\r\n".join(f"\r\n{name[0]}.txt\r\n\r\n\r\n{text}" for name, text in PAIRS),
        r"is several text files below their names \('1\.txt'\), as `type` prints them; pass the folder",
    ),
    "train.en": ("\n".join(TEXTS), "is sentences without the names of their images; if another file has these in the"),
    "images.txt": (
        "\n".join(NAMES),
        "is a list of image names without captions; if another file has these in the",
    ),
    "x.ris": (
        _join("TY  - FIGURE\nID  - 1\nAB  - TEXT\nL4  - NAME\nER  - \n"),
        r"is a file of references \(RIS, 'TY  - FIGURE'\); export its file names and texts as a table",
    ),
    "插图目录.txt": (
        "插图目录\n" + "\n".join(f"图1-{n}　{text}………{n}" for n, text in enumerate(TEXTS)),
        r"is a list of figures, whose numbers \('图1-0.*'\) are no names of image files; write the name",
    ),
    "figures.txt": (
        "\n".join(f"Figure {n}. A dog runs in street {n} . . . . {n}" for n in range(1, 5)),
        r"is a list of figures, whose numbers \('Figure 1\. A dog",
    ),
    "x.srt": (_join("1\n00:00:00,000 --> 00:00:02,500\nTEXT\n"), "is a file of subtitles, whose texts belong to times"),
    "x.vtt": ("WEBVTT\n\n" + _join("00:00.000 --> 00:02.500\nTEXT\n"), "is a file of subtitles"),
    "x.tex": (
        "\\documentclass{ctexart}\n"
        + _join("\\begin{figure}\n\\includegraphics{NAME}\n\\caption{TEXT}\n\\end{figure}"),
        r"is a LaTeX document, not a caption file; write the names in its \\includegraphics",
    ),
    "x.lua": (
        "-- 道具\nlocal d = {\n" + _join('  ["NAME"] = "TEXT",') + "\n}\nreturn d\n",
        "is a Lua table, not a caption",
    ),
    "x.toml": ("[captions]\n" + _join('"NAME" = "TEXT"'), "is a TOML file, which is not read; save it as JSON"),
    "line.txt": (
        _join("  image = NAME\ncaption = TEXT\n"),
        r"is a list of records with a field per line \(image, caption\)",
    ),
    "list.txt": (_join("image   : NAME\ncaption : TEXT\n"), r"records with a field per line .* saved as CSV"),
    "中文.txt": (_join("图片：NAME\n描述：TEXT\n"), r"records with a field per line \(图片, 描述\)"),
    "note.txt": ("春节照片\n2026年2月18日\n\n" + _join("IMG_NAME\nTEXT\n"), "the name of each image above its caption"),
    "note2.txt": (_join("NAME\nTEXT"), r"\(the line '1\.jpg' is a name\); write both into one line, NAME<TAB>caption"),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_error_says_what_a_text_is(write, name):
    text, message = KINDS[name]
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(name, text))


@pytest.mark.parametrize(
    "lines",
    [
        *(
            [],
            ["一只狗在草地上跑", "两只猫在睡觉"],
            ["[1]", "x = 1"],
            ["a: b", "c: d", "e: f"],
            ["1.jpg", "2.jpg", "3.jpg"],
        ),
        *([*TEXTS, f"1.txt:{TEXTS[0]}", f"2.txt:{TEXTS[1]}"], [*TEXTS, "TY  - FIGURE", "ER  - "]),
        [*TEXTS, f"图1-1　{TEXTS[0]}", f"图1-2　{TEXTS[1]}"],
    ],
)
def test_other_texts_are_not_named(lines):
    assert text_kind(lines) is None
