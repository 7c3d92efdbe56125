"""Word lists of Hunspell, and settings of IK Analyzer, as user dictionaries."""

import pytest

from caption_tx.data.text.user_dictionary import read_user_dictionary
from caption_tx.errors import ConfigError

WORDS = ["叉车", "黄色安全帽", "传送带", "红色保温杯", "灭火器"]


def _words(path):
    return [entry.word for entry in read_user_dictionary(path).entries]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_word_list_of_hunspell(tmp_path, ending):
    path = tmp_path / "zh_CN.dic"
    path.write_bytes(ending.join(["5", *(f"{word}/SM" if word == "传送带" else word for word in WORDS), ""]).encode())
    dictionary = read_user_dictionary(path)
    assert _words(path) == WORDS
    assert [entry.line for entry in dictionary.entries] == [2, 3, 4, 5, 6]
    note = "Read as a word list of Hunspell: without its count of words, 5, and without flags such as /SM (1)."
    assert note in dictionary.notes


def test_a_count_that_is_wrong_beside_flags(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("900\n" + "\n".join(f"{word}/A" for word in WORDS), "utf-8")
    assert _words(path) == WORDS


@pytest.mark.parametrize("first", ["5G", "900", "12306"])
def test_words_that_are_numbers_are_kept(tmp_path, first):
    path = tmp_path / "words.txt"
    path.write_text("\n".join([first, *WORDS]), "utf-8")
    assert _words(path) == [first, *WORDS]
    path.write_text("\n".join([*WORDS, "5"]), "utf-8")
    assert _words(path) == [*WORDS, "5"]


def test_the_encoding_hz_is_named(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("叉车\n传送带\n".encode("hz"))
    with pytest.raises(ConfigError, match=r"it is in the encoding HZ \(~\{\.\.~\}\); convert it with iconv -f HZ"):
        read_user_dictionary(path)


def test_settings_are_no_words(tmp_path):
    path = tmp_path / "IKAnalyzer.cfg.xml"
    path.write_text(
        '<?xml version="1.0"?>\n<properties><entry key="ext_dict">a.dic;b.dic</entry></properties>\n', "utf-8"
    )
    with pytest.raises(
        ConfigError, match=r"settings of IK Analyzer, not words; pass the word list that it names: a\.dic"
    ):
        read_user_dictionary(path)
    path.write_text("<!DOCTYPE html>\n<ul><li>叉车</li></ul>", "utf-8")
    with pytest.raises(ConfigError, match="it is an XML file, not a list of words; save the words as text"):
        read_user_dictionary(path)
