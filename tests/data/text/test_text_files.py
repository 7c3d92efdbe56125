"""Detection of encodings, and lines of intact and damaged text files."""

import os
import random

import pytest

from caption_tx.data.text.text_files import HEAD_BYTES, TextFile, find_encoding, find_undecoded_byte, guess_encoding
from caption_tx.errors import CorpusError

SIMPLIFIED = (
    "一个穿着泳装的女人躺在海水里。",
    "两只狗在草地上奔跑。",
    "一对恋人在公园的河边拥抱",
    "三个男孩在踢足球，旁边站着一位裁判。",
    "戴红色帽子的小女孩骑着自行车。",
    "雪地里有一辆黄色的汽车",
    "厨师正在厨房里切胡萝卜和洋葱。",
    "一位老人坐在长椅上看报纸",
    "几匹马在河边喝水。",
    "窗台上放着一盆绿色的植物。",
    "小男孩手里拿着蓝色的气球",
    "人们在雨中撑着伞过马路。",
)
TRADITIONAL = (
    "一個穿著泳裝的女人躺在海水裡。",
    "兩隻狗在草地上奔跑。",
    "一對戀人在公園的河邊擁抱",
    "三個男孩在踢足球，旁邊站著一位裁判。",
    "戴紅色帽子的小女孩騎著自行車。",
    "雪地裡有一輛黃色的汽車",
    "廚師正在廚房裡切胡蘿蔔和洋蔥。",
    "一位老人坐在長椅上看報紙",
    "幾匹馬在河邊喝水。",
    "窗臺上放著一盆綠色的植物。",
    "小男孩手裡拿著藍色的氣球",
    "人們在雨中撐著傘過馬路。",
)
ENCODED = [
    *(
        (name, detected, SIMPLIFIED)
        for name, detected in (("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"))
    ),
    *((name, name, SIMPLIFIED) for name in ("utf-16-le", "utf-16-be", "gb18030")),
    *((name, "gb18030", SIMPLIFIED) for name in ("gbk", "gb2312")),
    *((name, name, TRADITIONAL) for name in ("gb18030", "big5", "utf-16-le", "utf-8")),
    ("big5hkscs", "big5", TRADITIONAL),
    ("big5hkscs", "big5hkscs", tuple(f"{text}嘅" for text in TRADITIONAL)),
]


def lines_of(path, encoding=None):
    errors = []
    lines = list(TextFile.open(path, encoding).lines(lambda *error: errors.append(error)))
    return lines, [(line_number, reason) for line_number, reason, _ in errors]


@pytest.fixture
def write(tmp_path):
    def write_file(data: bytes):
        (tmp_path / "captions.txt").write_bytes(data)
        return tmp_path / "captions.txt"

    return write_file


@pytest.mark.parametrize(("encoding", "detected", "captions"), ENCODED)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_dozen_captions_in_every_encoding(write, encoding, detected, captions, end):
    path = write(end.join(f"{index}.jpg#zhc#0 {caption}" for index, caption in enumerate(captions)).encode(encoding))
    assert find_encoding(path) == detected
    lines, errors = lines_of(path)
    assert errors == []
    assert [(line_number, text.rstrip("\n")) for line_number, text in lines] == [
        (index + 1, f"{index}.jpg#zhc#0 {caption}") for index, caption in enumerate(captions)
    ]


@pytest.mark.parametrize("place", [0, 1, -1])
def test_one_letter_of_hong_kong_makes_a_file_big5_hkscs(write, place):
    captions = [f"{index}.jpg\t{caption}" for index, caption in enumerate(TRADITIONAL * 200)]
    captions[place] += "，電𨋢冇人"
    assert lines_of(write("\n".join(captions).encode("big5hkscs"))) == lines_of(write("\n".join(captions).encode()))


@pytest.mark.parametrize(
    ("encoding", "captions"), [("gb18030", SIMPLIFIED), ("gb18030", TRADITIONAL), ("big5", TRADITIONAL)]
)
@pytest.mark.parametrize("length", [4, 6, 99])
def test_one_caption_without_latin_letters(encoding, captions, length):
    for caption in captions:
        detected = guess_encoding(caption[:length].encode(encoding))
        # Four letters may be too few, but never look like another encoding.
        assert detected == encoding or (length == 4 and detected is None), caption


def test_western_encoding_must_be_named(write):
    path = write("image,caption\na.jpg,A man at a café eats crème brûlée\n".encode("cp1252"))
    with pytest.raises(
        CorpusError, match=r"captions\.txt, line 2: not UTF-8 \(byte 0xe9\).*captions\.txt:encoding=cp1252'"
    ):
        find_encoding(path)
    assert lines_of(path, "cp1252")[0][1][1].strip() == "a.jpg,A man at a café eats crème brûlée"


@pytest.mark.parametrize(("encoding", "detected", "captions"), ENCODED)
def test_captions_after_much_ascii(write, encoding, detected, captions):
    text = "a.jpg#0\tA dog runs .\n" * 20_000 + "".join(f"b.jpg#zhc#0 {caption}\n" for caption in captions * 300)
    assert find_encoding(write(text.encode(encoding))) == detected


def test_lines_end_at_line_ends_only(write):
    path = write("one\u2028still\x0bone\x0c\x1c\x85\ntwo\r\nthree\rfour\n\nsix".encode())
    assert lines_of(path) == (
        [
            (1, "one\u2028still\x0bone\x0c\x1c\x85\n"),
            (2, "two\n"),
            (3, "three\n"),
            (4, "four\n"),
            (5, "\n"),
            (6, "six"),
        ],
        [],
    )


def test_long_line(write):
    text = "狗" * 3_000_000
    assert lines_of(write(f"{text}\nb".encode())) == ([(1, f"{text}\n"), (2, "b")], [])


@pytest.mark.parametrize("letters", [10, 40_000, 70_000, 3_000_000])
def test_damaged_byte_far_into_a_line_of_latin_letters(write, letters):
    path = write(b"image,caption\na.jpg," + b"a" * letters + b"\xff")
    with pytest.raises(CorpusError, match=r"line 2: not UTF-8 \(byte 0xff\), and no other encoding"):
        find_encoding(path)


@pytest.mark.parametrize("letters", [10, 70_000])
def test_encoding_of_captions_far_into_a_line(write, letters):
    assert find_encoding(write(b"a" * letters + "\t".join(SIMPLIFIED).encode("gb18030"))) == "gb18030"


def test_few_damaged_lines_of_utf_8_are_errors(write):
    good = "".join(f"{caption}\n" for caption in SIMPLIFIED).encode()
    lines, errors = lines_of(write(good + b"\xb9\xb7\n" + good + b"a\xff\n"))
    assert [line_number for line_number, _ in lines] == [*range(1, 13), *range(14, 26)]
    assert errors == [(13, "not UTF-8 (byte 0xb9)"), (26, "not UTF-8 (byte 0xff)")]


def test_damaged_byte_in_a_file_of_one_line(write):
    data = "，".join(SIMPLIFIED).encode() + b"\xe7," + "，".join(SIMPLIFIED).encode()
    path = write(data)
    assert find_encoding(path) == "utf-8"
    assert find_undecoded_byte(TextFile.open(path).text()) == 0xE7


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16"])
def test_damaged_lines_of_other_encodings_are_errors(write, encoding):
    captions = SIMPLIFIED if encoding != "big5" else TRADITIONAL
    lines = [f"{caption}\n".encode(encoding) for caption in captions]
    if encoding == "utf-16":
        lines = [
            "".join(f"{caption}\n" for caption in captions).encode("utf-16"),
            "a\ud800b\n".encode("utf-16-le", "surrogatepass"),
        ]
    else:
        lines.append(b"\xff\xff\n")
    decoded, errors = lines_of(write(b"".join(lines)))
    assert [text for _, text in decoded] == [f"{caption}\n" for caption in captions]
    assert len(errors) == 1
    assert errors[0][0] == 13
    assert errors[0][1].startswith(f"not {encoding.upper()} (byte 0x")


def test_head_truncated_within_a_letter():
    for encoding in ("utf-8", "gb18030"):
        data = (SIMPLIFIED[0] * 4000).encode(encoding)
        assert guess_encoding(data[:HEAD_BYTES]) == encoding
        assert guess_encoding(data[: HEAD_BYTES - 1]) == encoding


def test_zero_bytes_are_not_utf_16(write):
    assert find_encoding(write(b"\0#0\tone\n")) == "utf-8"
    assert find_encoding(write(b"a.jpg\tone\0\0\0\nb.jpg\tdogs are running over the green lawn\n")) == "utf-8"
    assert find_encoding(write(b"")) == "utf-8"


def test_named_encoding_overrides_detection(write):
    path = write("狗在跑\nb\n".encode("gbk"))
    assert lines_of(path, "GBK") == ([(1, "狗在跑\n"), (2, "b\n")], [])
    assert TextFile.open(path, "cp936").encoding == TextFile.open(path, "gb2312").encoding == "gb18030"
    assert lines_of(path, "big5")[0] != lines_of(path, "gbk")[0]
    assert lines_of(path, "ascii") == ([(2, "b\n")], [(1, "not ASCII (byte 0xb9)")])


@pytest.mark.parametrize("name", ["klingon", "hex", "rot13", "zlib", "", "x\0y", "mbcs"])
def test_unknown_encoding(write, name):
    path = write(b"a\n")
    if not name:
        assert TextFile.open(path, name).encoding == "utf-8"
        return
    with pytest.raises(CorpusError, match=r"captions\.txt: unknown encoding .*; use one of utf-8"):
        TextFile.open(path, name)


def test_advice_does_not_suggest_the_encoding_that_failed(write):
    path = write("a.jpg#0 a dog in a café\n".encode("cp1252"))
    advice = {}
    for name in ("gb18030", "utf-8"):
        list(
            TextFile.open(path, name).lines(
                lambda line_number, reason, message, name=name: advice.update({name: message})
            )
        )
    assert advice["gb18030"].startswith("not GB18030 (byte 0xe9); fix the line")
    assert all(message.endswith(f"('{path}:encoding=cp1252')") for message in advice.values())


def test_byte_order_mark_within_a_file_is_not_utf_16(write):
    assert guess_encoding(b"\n\xfe\xff") is None
    with pytest.raises(CorpusError, match="line 2: not UTF-8"):
        find_encoding(write(b"\n\xfe\xff"))


@pytest.mark.parametrize("name", ["idna", "punycode", "undefined", "utf-32", "unicode_escape", "utf-7"])
def test_unusual_encodings(write, name):
    path = write(b"\\x\xff+AA\n\x80-a\n")
    try:
        lines, errors = lines_of(path, name)
    except CorpusError as error:
        assert "captions.txt, line 1: not" in str(error)
        with pytest.raises(CorpusError, match=r"captions\.txt: not"):
            TextFile.open(path, name).text()
    else:
        assert len(lines) + len(errors) >= 1


def test_binary_file_is_rejected_with_advice(write):
    data = random.Random(0).randbytes(5000)
    with pytest.raises(CorpusError, match=r"captions\.txt, line 1: not UTF-8 \(byte 0x.*; save it as UTF-8, or name"):
        TextFile.open(write(data))


def test_path_that_is_not_a_file(tmp_path):
    with pytest.raises(CorpusError, match="is not a file"):
        TextFile.open(tmp_path)
    with pytest.raises(CorpusError, match="is not a file"):
        TextFile.open(tmp_path / "missing.txt")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="is not a file"):
        TextFile.open(tmp_path / "pipe", "utf-8")


def test_deleted_file(write):
    path = write(b"a\n")
    file = TextFile.open(path)
    path.unlink()
    with pytest.raises(CorpusError, match=r"captions\.txt: No such file"):
        list(file.lines(lambda *error: None))
    with pytest.raises(CorpusError, match=r"captions\.txt: No such file"):
        file.text()
