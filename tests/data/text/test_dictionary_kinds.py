"""User dictionaries with categories, parts of speech and readings beside words of any script."""

import io
import re

import pytest

from caption_tx.config import TextConfig
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.user_dictionary import read_user_dictionary

MECAB = "{},1288,1288,4569,名詞,固有名詞,一般,*,*,*,{},トウキョウ,トウキョウ\n"
SUDACHI = "{},4786,4786,-1,{},名詞,固有名詞,一般,*,*,*,トウキョウ,東京,*,*,*,*,*\n"
WORDS = ["東京タワー", "抹茶ラテ", "ピカチュウ"]

# The text of a file, its words with frequencies, and a part of the notes.
FILES = {
    # One value that repeats, or a few, are categories whatever the script of the words is.
    "iPhone,品牌\nHello Kitty,品牌\n": ("iPhone Hello␣Kitty", "column 1 of .* without column 2 .categories.[.]$"),
    "iPhone;品牌\n苹果手机;品牌\nKindle;品牌\n": ("iPhone 苹果手机 Kindle", "without column 2 .categories."),
    "ピカチュウ,角色\nドラえもん,角色\nラーメン,食物\n抹茶ラテ,食物\nワンピース,衣服\n": (
        "ピカチュウ ドラえもん ラーメン 抹茶ラテ ワンピース",
        "without column 2 .categories.",
    ),
    "品牌,iPhone\n品牌,Kindle\n": ("iPhone Kindle", "column 2 of .* without column 1 .categories."),
    "iPhone,brand\nKindle,brand\nBarbie,toy\nLego,toy\n": ("iPhone Kindle Barbie Lego", "column 2 .categories."),
    "iPhone\t品牌\t100\nKindle\t品牌\t5\n": ("iPhone:100 Kindle:5", "without column 2 .categories.[.]$"),
    "iPhone,100,品牌\nKindle,5,品牌\n": ("iPhone:100 Kindle:5", "without column 3 .categories.[.]$"),
    "iPhone 100 品牌\nKindle 5 品牌\n": ("iPhone:100 Kindle:5", "without column 3 .categories.[.]$"),
    "iPhone 15,手机\niPhone 14,手机\n": ("iPhone␣15 iPhone␣14", "without column 2 .categories.[.]$"),
    "Привет,слово\nКот,животное\nПёс,животное\nЛиса,животное\n": ("Привет Кот Пёс Лиса", "2 .categories."),
    "红色T恤,名词\n奔跑,动词\n": ("红色T恤 奔跑", "without column 2 .parts of speech."),
    # Values that differ, lists of words and entries with spaces are read as before.
    "red panda,小熊猫\nibex,羱羊\n": ("小熊猫 羱羊", "without column 1 .text."),
    "衣服,红色T恤\n衣服,连衣裙\n饮料,奶茶\n饮料,果汁\n": (
        "衣服 红色T恤 衣服 连衣裙 饮料 奶茶 饮料 果汁",
        "as a list of words",
    ),
    "名词,动词\n副词,代词\n": ("名词 动词 副词 代词", "as a list of words"),
    "Monsters, Inc\nDumbo, Inc\n": ("Monsters,␣Inc Dumbo,␣Inc", "^$"),
    "mp3 播放器\nmp4 播放器\nmp5 播放器\nmp6 播放器\n": ("mp3␣播放器 mp4␣播放器 mp5␣播放器 mp6␣播放器", "^$"),
    # Analyzers and input methods for Japanese and Korean
    "".join(MECAB.format(word, word) for word in WORDS): (
        " ".join(WORDS),
        "MeCab or Sudachi, the first column: line 1",
    ),
    MECAB.format(WORDS[0], WORDS[0]): (WORDS[0], "as a dictionary of MeCab"),
    "".join(SUDACHI.format(word, word) for word in WORDS): (" ".join(WORDS), "as a dictionary of MeCab or Sudachi"),
    "대우,,,,NNP,*,F,대우,*,*,*,*\n뽀로로,,,,NNP,*,F,뽀로로,*,*,*,*\n": ("대우 뽀로로", "as a dictionary of MeCab"),
    "# x\n東京タワー,東京 タワー,トウキョウ タワー,カスタム名詞\n": ("東京タワー", "as a dictionary of Kuromoji"),
    "東京タワー,とうきょうたわー,カスタム名詞\nピカチュウ,ぴかちゅう,カスタム人名\n": (
        "東京タワー ピカチュウ",
        "without column 2 .readings., 3 .parts of speech.[.]$",
    ),
    "とうきょうたわー\t東京タワー\t固有名詞\nぴかちゅう\tピカチュウ\t人名\n": (
        "東京タワー ピカチュウ",
        "from column 2 of .* without column 1 .readings.",
    ),
    "红色T恤,100,3,5,n\n草莓奶盖,50,2,4,n\n": ("红色T恤:100 草莓奶盖:50", "from columns 1, 2"),
    # Tags before the frequency, several of them, and tags after a sign
    "iPhone nz 1024\n奶茶 n 100 v 20\n": ("iPhone:1024 奶茶:100", "as 'word tag frequency': line 1 .* and 1 more"),
    "iPhone n 100\n奶茶 n 3\nleap motion n 5\n": ("iPhone:100 奶茶:3 leap␣motion:5", "as 'word tag frequency'"),
    "iPhone\tnz\t100\nKindle\tnz\t5\n": ("iPhone:100 Kindle:5", "as 'word tag frequency'"),
    "奶茶,n,100\niPhone,nz,5\n": ("奶茶:100 iPhone:5", "Read as 'word,frequency,tag': line 1 '奶茶,n,100' and 1"),
    "花 n v\n李明 nh\n打卡 v n\n": ("花 李明 打卡", "without the tags after the word: line 1 '花 n v' and 1 more"),
    "奶茶_n\niPhone_nz\n": ("奶茶 iPhone", "as 'word/tag'"),
    "奶茶/n\n春天/SEASON\n": ("奶茶 春天", "as 'word/tag'"),
    # Titles of pages
    "red_n\nblue_car\n": ("red_n red␣n blue_car blue␣car", "^Read with spaces for _ .*: line 1 'red_n' and 1 more.$"),
    "page_title\nC++\nLeap_Motion\n奶茶\n": ("C++ Leap_Motion Leap␣Motion 奶茶", "^Line 1 'page_title' is a header"),
    "title\nDr._Who\n奶茶\n": ("title Dr.␣Who 奶茶", "Line 1 'title' is read as an entry; remove it"),
    "title\n奶茶\nTom_&_Jerry\n": ("奶茶 Tom␣&␣Jerry", "Line 1 'title' is a header"),
    "苹果_(公司)\nMercury_(planet)\n奶茶 5\n": (
        "苹果 Mercury 奶茶:5",
        "without the part in parentheses: line 1 '苹果_\\(公司\\)' and 1 more",
    ),
    "windows_10\n_a\n北京_大学\nfoo()\n": ("windows_10 windows␣10 _a 北京_大学 foo()", "line 1 'windows_10'.$"),
    "plan b 3\nplan c 5\n奶茶 3 n\n": ("plan␣b:3 plan␣c:5 奶茶:3", "with a frequency or tag: line 1 'plan b 3'"),
}


@pytest.mark.parametrize("text", FILES)
def test_the_column_of_the_words_is_read(tmp_path, text):
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    dictionary = read_user_dictionary(path)
    found = [f"{entry.word}:{entry.frequency}".removesuffix(":None") for entry in dictionary.entries]
    expected, note = FILES[text]
    assert found == [item.replace("␣", " ") for item in expected.split()]
    assert re.search(note, " ".join(dictionary.notes)), dictionary.notes


@pytest.mark.parametrize("encoding", ["euc_jp", "cp932"])
def test_japanese_encodings(tmp_path, encoding):
    path = tmp_path / "words.csv"
    path.write_bytes("".join(MECAB.format(word, word) for word in WORDS).encode(encoding))
    dictionary = read_user_dictionary(path)
    assert [entry.word for entry in dictionary.entries] == WORDS
    assert dictionary.encoding == encoding


def test_workbooks_with_categories_first(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("品牌", "iPhone", 5), ("品牌", "Kindle", 7)):
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    (tmp_path / "words.xlsx").write_bytes(stream.getvalue())
    entries = read_user_dictionary(tmp_path / "words.xlsx").entries
    assert [(entry.word, entry.frequency) for entry in entries] == [("iPhone", 5), ("Kindle", 7)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("红色T恤\n红色T恤\n红色t恤\n", "1 of 1 entries from 3 lines are"),
        ("红色T恤、草莓奶盖、雪花酥\n", "3 of 3 entries from 1 line are"),
        ("# 衣服\n红色T恤\n\n草莓奶盖\n", "2 of 2 entries are"),
    ],
)
def test_the_report_says_how_many_lines_gave_the_entries(tmp_path, text, count):
    (tmp_path / "words.txt").write_text(text, encoding="utf-8")
    report = Segmenter(TextConfig(user_dictionary=str(tmp_path / "words.txt"))).dictionary_report()
    assert f"words.txt: {count} kept whole" in report.to_text()
    assert report.to_dict()["lines"] == len([line for line in text.splitlines() if line and line[0] != "#"])
