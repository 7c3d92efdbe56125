"""Advice about encodings that are not detected; following it must work."""

import re

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.text.encodings import encoding_advice, suggest_encoding
from caption_tx.errors import CorpusError

CHINESE = ["两只猫在沙发上睡觉", "一个男孩在公园里放风筝", "老人坐在长椅上看报纸"]
TRADITIONAL = ["兩隻狗在公園裡奔跑", "戴紅色帽子的小女孩騎著自行車。", "廚師正在廚房裡切胡蘿蔔和洋蔥。"]
JAPANESE = ["犬が草の上を走っている。", "二匹の猫がソファで寝ている", "赤い帽子をかぶった女の子"]
KOREAN = ["개가 잔디 위를 달린다", "두 마리 고양이가 자고 있다", "빨간 모자를 쓴 소녀"]
RUSSIAN = ["Собака бежит по траве.", "Две кошки спят на диване", "Девочка в красной шапке"]
ENGLISH = ["A woman drinks a café crème", "A señor plays “Für Elise” on the piano", "The façade of the château"]
SIGNS = ["A woman drinks a café crème at 8 °C", "Two naïve puppies chase a 3½ kg ball", "A girl’s piñata – red"]
POLISH = ["Pies biegnie po zielonej trawie, a dziewczynka się śmieje", "Dwa koty śpią na łóżku", "Chłopiec pływa"]
CASES = [
    (CHINESE, "gb18030"),
    (CHINESE, "utf-16-le"),
    (CHINESE, "utf-16-be"),
    (TRADITIONAL, "big5"),
    (["電𨋢入面冇人", "佢哋喺度食嘢", "一隻狗嘅玩具"], "big5hkscs"),
    (TRADITIONAL, "gb18030"),
    (TRADITIONAL, "utf-16-le"),
    (JAPANESE, "cp932"),
    (JAPANESE, "euc-jp"),
    (KOREAN, "cp949"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8-r"),
    (RUSSIAN, "cp866"),
    (SIGNS, "cp1252"),
    (ENGLISH, "mac-roman"),
    (["A crème brûlée", "A café", "Señora in a red dress"], "cp850"),
    (POLISH, "cp1250"),
    (ENGLISH, "utf-8"),
]


@pytest.mark.parametrize(("captions", "encoding"), CASES)
def test_the_encoding_is_the_one_in_which_captions_make_sense(captions, encoding):
    samples = [caption.encode(encoding) for caption in captions]
    assert suggest_encoding(samples) == encoding
    assert suggest_encoding([b"\r\n".join(samples)]) == encoding or encoding.startswith("utf-16")


@pytest.mark.parametrize("data", [b"\x81\xff", bytes(range(1, 256)), b"\xff\xfd\x80\x80"])
def test_no_encoding_is_suggested_for_bytes_of_no_text(data):
    assert suggest_encoding([data]) is None
    assert encoding_advice("x.csv", [data]) == "save it as UTF-8, or name its encoding as 'x.csv:encoding=NAME'"


UNDETECTED = [case for case in CASES if case[1] not in ("gb18030", "big5", "big5hkscs", "utf-8")]


def follow(source):
    """The captions of a source after its error message was followed."""
    with pytest.raises(CorpusError, match="not UTF-8") as caught:
        read_corpus(source)
    message = str(caught.value)
    named = re.search(r"'([^']+:encoding=[\w-]+)', or save it as UTF-8", message)
    assert named, message
    return list(read_corpus(named[1])["caption"])


@pytest.mark.parametrize(("captions", "encoding"), UNDETECTED)
def test_advice_about_text_files_beside_images_works(write, tmp_path, captions, encoding):
    for index, caption in enumerate([*captions, "a plain dog"]):
        write(f"photos/{index}.jpg", b"\xff")
        if encoding.startswith("utf-16") or index < len(captions):
            write(f"photos/{index}.txt", caption.encode(encoding))
    assert sorted(follow(tmp_path / "photos"))[-3:] == sorted(captions)


@pytest.mark.parametrize(("captions", "encoding"), [case for case in UNDETECTED if not case[1].startswith("utf-16")])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt"])
def test_advice_about_tables_works(write, captions, encoding, name):
    separator = "," if name == "x.csv" else "\t"
    lines = [f"{at}.jpg{separator}{caption.replace(',', '')}\n" for at, caption in enumerate(captions)]
    header = "" if name == "x.txt" else f"image{separator}caption\n"
    path = write(name, (header + "".join(lines)).encode(encoding))
    assert follow(path) == [caption.replace(",", "") for caption in captions]


def test_a_folder_with_texts_in_utf_8_too_is_to_be_saved(write, tmp_path):
    for index, data in enumerate(["一只狗".encode(), *(caption.encode("cp1252") for caption in SIGNS)]):
        write(f"photos/{index}.jpg", b"\xff")
        write(f"photos/{index}.txt", data)
    advice = r"save these files as UTF-8, like the others \(they seem to be in cp1252\)"
    with pytest.raises(CorpusError, match=advice):
        read_corpus(tmp_path / "photos")
