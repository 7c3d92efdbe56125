"""User dictionaries: which entries stay whole in captions, how files are read, and the report."""

import dataclasses
import io
import pickle
import struct
import sys

import pytest

from caption_tx.config import TextConfig
from caption_tx.data.text.segmentation import Segmenter, detokenize
from caption_tx.data.text.user_dictionary import EntryMatcher, dictionary_as_text, read_user_dictionary
from caption_tx.errors import ConfigError

ENTRIES = """leap motion
让·雷诺
C/C++
ラーメン屋
㐂喜
café店
ＸＹ款裙
臺灣小吃攤
ens
new york
北京 大学
C#
Wi-Fi
@mention
草地上奔跑 1
"""


@pytest.fixture
def segmenter(tmp_path):
    def make(entries=ENTRIES, **settings):
        path = tmp_path / "words.txt"
        path.write_bytes(entries if isinstance(entries, bytes) else entries.encode())
        return Segmenter(TextConfig(user_dictionary=str(path), **settings))

    return make


@pytest.mark.parametrize(
    ("text", "words", "settings"),
    [
        ("他在用Leap  Motion玩", "他 在 用 leap_motion 玩", {}),
        ("leap motions和sleap motion", "leap motions 和 sleap motion", {}),
        ("让·雷诺在跑步", "让·雷诺 在 跑步", {}),
        ("让•雷诺和让・雷诺", "让·雷诺 和 让·雷诺", {}),
        ("一本C/C++书", "一本 c/c++ 书", {}),
        ("一家ラーメン屋", "一家 ラーメン屋", {}),
        ("㐂喜饭店", "㐂喜 饭店", {}),
        ("café店门口", "café店 门口", {}),
        ("décafé店", "décafé 店", {}),
        ("一条ＸＹ款裙", "一条 ｘｙ款裙", {}),
        ("一条ＸＹ款裙", "一条 xy款裙", {"nfkc": True}),
        ("臺灣小吃攤", "台湾小吃摊", {"script": "simplified"}),
        ("台湾小吃摊", "臺灣小喫攤", {"script": "traditional"}),
        ("license上的ens", "license 上 的 ens", {}),
        ("New York的北京 大学", "new_york 的 北京_大学", {}),
        ("C#和wi\u2011fi", "c# 和 wi-fi", {}),
        ("@mention他", "@mention 他", {}),
        ("狗在草地上奔跑", "狗 在 草地上奔跑", {}),
        ("The New York dogs", "the new_york dogs", {"language": "en"}),
        ("the wi-fi lens", "the wi-fi lens", {"language": "en"}),
    ],
)
def test_entries_stay_whole(segmenter, text, words, settings):
    words = [word.replace("_", " ") for word in words.split()]
    segment = segmenter(**settings).segment
    assert segment(text) == words
    assert segment(detokenize(words, settings.get("language", "zh"))) == words
    report = segmenter(**settings).dictionary_report()
    assert (report.num_entries, report.not_kept) == (15, ())


@pytest.mark.parametrize("settings", [{}, {"nfkc": True}, {"script": "simplified"}, {"language": "en"}])
def test_shorter_entries_inside_longer_ones(segmenter, settings):
    entries = "c++,学c++语言,让·雷诺,雷诺·让,a b,a b c,奔跑 1,草地上奔跑 1,狗在草地上奔跑"
    custom = segmenter(entries.replace(",", "\n"), **settings)
    assert custom.dictionary_report().not_kept == ()
    assert custom.segment("学c++语言 a b c") == ["学c++语言", "a b c"]


def test_entries_that_jieba_keeps_whole_change_nothing_else(segmenter):
    plain = Segmenter(TextConfig())
    texts = ["卡拉OK和KTV", "一件T恤衫", "他穿着100%棉的VIP服", "两只狗在草地上奔跑"]
    custom = segmenter("ok\nt恤\nvip\n100%\ncafé\n")
    assert [custom.segment(text) for text in texts] == [plain.segment(text) for text in texts]


def test_frequencies_decide_between_chinese_words(segmenter):
    text = "草地上奔跑"
    assert segmenter("地上奔 100000000\n").segment(text) == ["草", "地上奔", "跑"]
    assert segmenter("地上奔 3\n").segment(text) == ["草地", "上", "奔跑"]


def test_entries_that_cannot_be_kept_are_named(segmenter):
    report = segmenter("狗\n😀\n——\n4x4 \n狗\n", drop_words_with_digits=True).dictionary_report()
    assert report.to_text().endswith(
        "words.txt: 1 of 4 entries are kept whole; not kept: line 2 '😀' (no letter or digit), "
        "line 3 '——' (no letter or digit), line 4 '4x4' (words with digits are dropped)."
    )
    assert report.to_dict()["not_kept"][0] == {"line": 2, "entry": "😀", "reason": "no letter or digit"}
    many = segmenter("".join(f"{sign}\n" for sign in "★☆♥♦♣♠")).dictionary_report().to_text()
    assert many.endswith("line 5 '♣' (no letter or digit), 1 more.")


def test_no_dictionary_no_report():
    assert Segmenter(TextConfig()).dictionary_report() is None


def test_pickling_keeps_the_entries(segmenter):
    custom = segmenter("leap motion\n草地上奔跑 5000000\n")
    custom.segment("狗")
    assert pickle.loads(pickle.dumps(custom)).segment("leap motion在草地上奔跑") == ["leap motion", "在", "草地上奔跑"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030", "big5"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_dictionaries_in_any_encoding(segmenter, encoding, line_end):
    words = ["機器人餐廳", "雲端運算", "讓我們跳舞吧", "紅色的外套", "小吃攤"]
    content = line_end.join(f"{word} 100 n" for word in words).encode(encoding)
    custom = segmenter(content)
    report = custom.dictionary_report()
    assert (report.num_entries, report.not_kept) == (5, ())
    assert custom.segment("一個小吃攤和機器人餐廳")[-2:] == ["和", "機器人餐廳"]
    name = encoding.removesuffix("-sig")
    assert (f"({name.upper()})" in report.to_text()) == (name != "utf-8")


def test_a_dictionary_of_one_word_in_gbk(segmenter):
    report = segmenter("狗狗".encode("gbk")).dictionary_report()
    assert "(GB18030): 1 of 1 entries" in report.to_text()


def read(tmp_path, text):
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    dictionary = read_user_dictionary(path)
    return [dataclasses.astuple(entry)[:2] for entry in dictionary.entries], " ".join(dictionary.notes)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("云计算 5\n李小福 2 nr\n创新办 3 i\n机器人 n\n凱特琳 nz\n", "云计算:5 李小福:2 创新办:3 机器人 凱特琳"),
        ("leap motion\n\n  狗\t10  \n猫　3\n", "leap_motion 狗:10 猫:3"),
        ("北京 大学\n两 个 字 7\n", "北京_大学 两_个_字:7"),
        ("leap 5\nmotion 6 n\n", "leap:5 motion:6"),
        ("iphone 5 nz\nplan b 3 n\n", "iphone:5 plan_b:3"),
        ("windows 10\n机器人\nplan b\n", "windows_10 机器人 plan_b"),
        ("windows 10\n机器人 1000 n\nplan b\n", "windows:10 机器人:1000 plan"),
        ("iPhone 15 Pro\n机器人 5 n\n苹果 15 Pro\n", "iPhone_15_Pro 机器人:5 苹果_15_Pro"),
        ("iphone 15 pro\nmotion 5 brand\n机器人 5 brand\n", "iphone_15_pro motion:5 机器人:5"),
        ("word,freq\n大红袍茶,10\n麦当劳餐厅\n", "大红袍茶:10 麦当劳餐厅"),
        (
            "大红袍茶\t100\tn\n哆啦A梦,50,nz\n麦当劳餐厅,\n肯德基店，3\n",
            "大红袍茶:100 哆啦A梦:50 麦当劳餐厅 肯德基店:3",
        ),
        ('词语;词频;词性\n"红色T恤";5;n\nnew york;7;ns\n', "红色T恤:5 new_york:7"),
        ("Monsters, Inc\n1,000\n", "Monsters,_Inc 1,000"),
        ('["大红袍茶", "new york"]', "大红袍茶 new_york"),
        ('{"大红袍茶": 7,\n "狗": null}', "大红袍茶:7 狗"),
        ("# 商品词典\n//注释\n#hash\n大红袍茶 5 n # 好茶\nC# 3 n\n", "#hash 大红袍茶:5 C#:3"),
        ("苹果 store\n云计算 xyz\n", "苹果_store 云计算"),
    ],
)
def test_words_frequencies_and_tags(tmp_path, text, entries):
    expected = []
    for item in entries.split():
        word, _, frequency = item.partition(":")
        expected.append((word.replace("_", " "), int(frequency) if frequency else None))
    assert read(tmp_path, text)[0] == expected


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("word,freq\n狗,5\n", "Line 1 'word,freq' is a header. Read as 'word,frequency,tag': line 2 '狗,5'."),
        ('["狗"]', "Read as JSON."),
        ("# a\n狗 # b\n", "Skipped as a comment: line 1 '# a' and 1 more."),
        ("#狗\n", "Read as an entry: line 1 '#狗'; a comment has a space after #."),
        ("iPhone 15 Pro\n狗 5\n", "Read as one entry: line 1 'iPhone 15 Pro'; 'word frequency tag' on the line "),
        ("狗 5 N\n", "Read as one entry: line 1 '狗 5 N'; 'word frequency tag' on the line "),
    ],
)
def test_other_layouts_are_reported(tmp_path, text, note):
    assert read(tmp_path, text)[1].startswith(note)


def test_lines_that_can_be_read_in_two_ways_are_reported(tmp_path):
    _, notes = read(tmp_path, "windows 10\n机器人\nplan b\n")
    assert notes == (
        "Read as one entry: line 1 'windows 10' and 1 more; 'word frequency tag' on the line leaves no doubt."
    )
    _, notes = read(tmp_path, "windows 10\n机器人 5\n")
    assert notes.startswith("Read as a word with a frequency or tag: line 1 'windows 10'; ")
    assert read(tmp_path, "狗 5\nleap motion\n让·雷诺 n\n")[1] == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("狗 0\n".encode(), r"words\.txt, line 1: expected .*frequency above 0.*'狗 0'"),
        ("猫\n狗 -5\n".encode(), r"words\.txt, line 2: expected 'word"),
        ("狗 5.5\n".encode(), r"words\.txt, line 1: expected 'word"),
        ("狗 10000000000\n".encode(), r"words\.txt, line 1: expected 'word"),
        ("狗\n".encode() * 20 + b"\xff\xfe\xff\n", r"words\.txt: line 21 is not UTF-8; save it as UTF-8"),
        (b"\xff\xff\xff\n", r"words\.txt: its encoding was not recognized; save it as UTF-8"),
        (b'[{"id": "a"}]', r"words\.txt: it is JSON; expected a list of words .* found \{"),
        (b'{"a": "b"}', r"words\.txt: it is JSON; expected .* frequencies, found \{"),
        ("狗,0\n".encode(), r"words\.txt, line 1: expected 'word"),
        (b"PK\x03\x04\0\0\0\n", r"words\.txt: it is not a text file"),
    ],
)
def test_invalid_user_dictionaries_are_rejected(segmenter, content, message):
    with pytest.raises(ConfigError, match=message):
        segmenter(content)


def test_missing_user_dictionary(tmp_path):
    with pytest.raises(ConfigError, match=r"Cannot read the user dictionary .*none\.txt: No such file"):
        read_user_dictionary(tmp_path / "none.txt")


def test_the_matcher_prefers_the_longest_entry():
    matcher = EntryMatcher(["new york", "new york times", "年·月"])
    assert matcher.split("看new york times和new york") == [
        ("看", False),
        ("new york times", True),
        ("和", False),
        ("new york", True),
    ]
    assert EntryMatcher([]).split("狗") == [("狗", False)]


BOTH = [("红色T恤", None), ("草莓奶盖", None)]
FORMS = {
    "- 红色T恤\n- leap motion\n": ([("红色T恤", None), ("leap motion", None)], "without the marks of a list"),
    "1. 红色T恤\n2. 让·雷诺\n": ([("红色T恤", None), ("让·雷诺", None)], "without the numbers of a list"),
    '"红色T恤"\n“草莓奶盖”\n': ([("红色T恤", None), ("草莓奶盖", None)], "without quotes"),
    "红色T恤,leap motion,草莓奶盖\n": ([("红色T恤", None), ("leap motion", None), ("草莓奶盖", None)], "on one line"),
    "红色T恤、草莓奶盖": ([("红色T恤", None), ("草莓奶盖", None)], "as a list of words on one line"),
    "红色T恤/n\n让·雷诺/nr\n": ([("红色T恤", None), ("让·雷诺", None)], "as 'word/tag'"),
    "红色T恤|100|n\n草莓奶盖|50|n\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'word|frequency|tag'"),
    "100 红色T恤\n50 草莓奶盖\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'frequency word'"),
    "100,红色T恤\n50,草莓奶盖\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'frequency word'"),
    "红色T恤: 100\n草莓奶盖：50\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "as 'word: frequency'"),
    "红色T恤 hong se t xu 100\n草莓奶盖 cao mei nai gai 50\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "without pinyin"),
    '{"word": "红色T恤", "freq": 9}\n{"word": "奶盖"}\n': ([("红色T恤", 9), ("奶盖", None)], "as JSON Lines"),
    '[{"word": "红色T恤", "freq": 9}, {"word": "奶盖"}]': ([("红色T恤", 9), ("奶盖", None)], "Read as JSON"),
    "红色T恤=红T恤\n草莓奶盖 => 奶盖\n": (
        [("红色T恤", None), ("红T恤", None), ("草莓奶盖", None), ("奶盖", None)],
        "as synonyms",
    ),
    "# x\n---\nname: mine\n...\n红色T恤\thong se t xu\t100\n奶盖\tnai gai\t5\n": (
        [("红色T恤", 100), ("奶盖", 5)],
        "header of a Rime dictionary: lines 2 to 4",
    ),
    ",word,count\n0,红色T恤,1200\n1,leap motion,30\n": (
        [("红色T恤", 1200), ("leap motion", 30)],
        "without the index of a table",
    ),
    # Some lines only
    "1. 红色T恤\n草莓奶盖\n": (BOTH, "without the numbers of a list: line 1 '1. 红色T恤'."),
    "红色T恤\n- 草莓奶盖\n": (BOTH, "without the marks of a list"),
    "红色T恤\n“草莓奶盖”\n": (BOTH, "without quotes"),
    "【红色T恤】\n《草莓奶盖》\n": (BOTH, "without brackets: line 1 '【红色T恤】' and 1 more."),
    "红色T恤/n\n草莓奶盖_nz\n": (BOTH, "as 'word/tag'"),
    "红色T恤 n 100\n草莓奶盖 5\n": ([("红色T恤", 100), ("草莓奶盖", 5)], "as 'word tag frequency'"),
    "红色T恤。\n草莓奶盖；\n": (BOTH, "without the signs at the end"),
    "**红色T恤**\n草莓奶盖<br>\n": (BOTH, "without HTML tags"),
    "1. “红色T恤”\n2. “草莓奶盖”\n": (BOTH, "without quotes"),
    # Text beside the words
    "红色T恤：一种衣服\n草莓奶盖：一种饮料\n": (BOTH, "without the text after the colon"),
    "红色T恤（衣服）\n草莓奶盖（饮料）\n": (BOTH, "without the text in parentheses"),
    "红色T恤#衣服\n草莓奶盖#饮料\n": (BOTH, "without the text after #"),
    "红色T恤 100 n 好\n草莓奶盖 5 n 甜\n": ([("红色T恤", 100), ("草莓奶盖", 5)], "without the text after the tag"),
    "红色T恤\tuserDefine\t9\n草莓奶盖\tuserDefine\t9\n": ([("红色T恤", 9), ("草莓奶盖", 9)], "without column 2 (text)"),
    "草莓奶盖 caomeinaigai\n红鞋 hongxie\n": ([("草莓奶盖", None), ("红鞋", None)], "without pinyin"),
    "'cao'mei'nai'gai 草莓奶盖\n'hong'xie 红鞋\n": ([("草莓奶盖", None), ("红鞋", None)], "without pinyin"),
    "草莓奶盖 vip\n红鞋 store\n": ([("草莓奶盖", None), ("红鞋 store", None)], "with a part-of-speech tag: line 1 '草"),
    # Lists and tables
    "红色T恤,草莓奶盖\n雪花酥、螺蛳粉\n": (
        [*BOTH, ("雪花酥", None), ("螺蛳粉", None)],
        "as a list of words on one line",
    ),
    "红色T恤,服装\n草莓奶盖,饮料\n雪花酥,饮料\n红鞋,服装\n": (
        [*BOTH, ("雪花酥", None), ("红鞋", None)],
        "without column 2 (categories)",
    ),
    "类别,词,备注\n衣服,红色T恤,x\n饮料,草莓奶盖,\n": (BOTH, "in its column '词', the columns 类别, 备注 are not read"),
    "id,word,freq\n1,红色T恤,9\n2,草莓奶盖,8\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "in its column 'word'"),
    "| 词 | 词频 |\n|---|---|\n| 红色T恤 | 9 |\n| 草莓奶盖 | 8 |\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "is a header"),
    "红色T恤，１００\n草莓奶盖，５０\n": ([("红色T恤", 100), ("草莓奶盖", 50)], "Read as 'word,frequency,tag'"),
    "词语\n红色T恤\n草莓奶盖\n": (BOTH, "Line 1 '词语' is a header."),
    "word\nleap motion\n": ([("word", None), ("leap motion", None)], "'word' is read as an entry; remove it if it is"),
    "中文名\n红色T恤\n草莓奶盖\n": (BOTH, "Line 1 '中文名' is a header."),
    "序号,中文名,学名,别名\n1,红色T恤,Vestis rubra,红衣、红衫\n2,草莓奶盖,Lac fragum,\n": (
        BOTH,
        "the words are in its column '中文名', the columns 序号, 学名, 别名 are not read.",
    ),
    "name,中文名称（简体）\nred shirt,红色T恤\nmilk,草莓奶盖\n": (BOTH, "in its column '中文名称（简体）'"),
    "species,latin\nred panda,Ailurus\nibex,Capra\n": (
        [("red panda", None), ("ibex", None)],
        "in its column 'species', the columns latin are not read",
    ),
    # Python and JSON
    "['红色T恤', '草莓奶盖']": (BOTH, "Read as Python."),
    "words = {'红色T恤': 9, '草莓奶盖': 8}": ([("红色T恤", 9), ("草莓奶盖", 8)], "Read as Python."),
    "('红色T恤', 9)\n('草莓奶盖', 8)\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "as pairs of a word and its frequency"),
    'jieba.add_word("红色T恤")\njieba.add_word("草莓奶盖", freq=8)\n': (
        [BOTH[0], ("草莓奶盖", 8)],
        "as calls of add_word",
    ),
    '{"衣服": ["红色T恤"], "饮料": ["草莓奶盖"]}': (BOTH, "with the words below its keys (衣服, 饮料)"),
    '[["红色T恤", 9], ["草莓奶盖", 8]]': ([("红色T恤", 9), ("草莓奶盖", 8)], "Read as JSON."),
    '{"红色T恤": {"freq": 9}, "草莓奶盖": {"freq": 8}}': ([("红色T恤", 9), ("草莓奶盖", 8)], "Read as JSON."),
    # Columns and layouts of other tools
    "Aa01A01= 红色T恤 草莓奶盖\nAa01A02@ 雪花酥\nAa01A03# 红鞋 T恤\n": (
        [*BOTH, ("雪花酥", None), ("红鞋", None), ("T恤", None)],
        "as a thesaurus, the words after each code: line 1 'Aa01A01= 红色T恤 草莓奶盖'.",
    ),
    "Aa01=红色T恤,草莓奶盖\nAa02=雪花酥\n": ([*BOTH, ("雪花酥", None)], "as a thesaurus"),
    "0001 红色T恤 草莓奶盖\n0002 雪花酥\n": ([*BOTH, ("雪花酥", None)], "on one line, without the code before them"),
    "衣服：红色T恤、红鞋\n饮料：草莓奶盖、雪花酥\n": (
        [("红色T恤", None), ("红鞋", None), ("草莓奶盖", None), ("雪花酥", None)],
        "without the category before the colon",
    ),
    "1 红色T恤 9\n2 草莓奶盖 8\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "without column 1 (numbers of rows)"),
    "W01,红色T恤,9,n\nW02,草莓奶盖,8,n\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "without column 1 (codes), 4 (tags)"),
    "红色T恤\ta red T-shirt\n草莓奶盖\tstrawberry tea\n": (BOTH, "Read from column 1 of lines such as line 1"),
    "红色T恤 0.5\n草莓奶盖 -1\n": (BOTH, "without column 2 (scores)"),
    "红色T恤\t9\n草莓奶盖\t0\n": ([("红色T恤", 9), ("草莓奶盖", None)], "A frequency of 0 counts as none."),
    "2 3\n红色T恤 0.1 0.2 1\n草莓奶盖 0.2 0 -1e-3\n": (BOTH, "Skipped as the size of word vectors: line 1 '2 3'."),
    "名词,热度\n红色T恤,9\n草莓奶盖,8\n": ([("红色T恤", 9), ("草莓奶盖", 8)], "Line 1 '名词,热度' is a header."),
    "紅衣\t红衣\n貓熊\t猫熊 熊猫\n": (
        [("紅衣", None), ("红衣", None), ("貓熊", None), ("猫熊", None), ("熊猫", None)],
        "Read from columns 1, 2 of",
    ),
    "#! v=1\n紅衣 红衣 [hong2 yi1] /red/A|B/\nT恤 T恤 [T xu4] /T-shirt/\n": (
        [("紅衣", None), ("红衣", None), ("T恤", None)],
        "as CC-CEDICT or EDICT, without pinyin and glosses: line 2",
    ),
    "NO.=1\nW_C=红色T恤\nG_C=N\nNO.=2\nW_C=草莓奶盖\nE_C=\n": (BOTH, "as HowNet"),
    "hsx,1=红色T恤\ncm,2=草莓奶盖\n": (BOTH, "as phrases of an input method"),
    "红鞋=hong2 xie2\n草莓奶盖=caomeinaigai\n": (
        [("红鞋", None), BOTH[1]],
        "without pinyin: line 1 '红鞋=hong2 xie2'.",
    ),
    "红鞋,hóng xié,9\n女鞋 [nǚ xié]\n": ([("红鞋", 9), ("女鞋", None)], "without pinyin"),
    "hongxie=红鞋 洪鞋\ncao'mei,草莓\n": ([("红鞋", None), ("洪鞋", None), ("草莓", None)], "without pinyin"),
    "红hong鞋xie\n草cao莓mei\n": ([("红鞋", None), ("草莓", None)], "without pinyin"),
    "红鞋=red\n草莓=berry\n": (
        [("红鞋", None), ("red", None), ("草莓", None), ("berry", None)],
        "as synonyms, each of which is an entry",
    ),
    "红色T恤,T恤 => 红T恤\n草莓奶盖 => 奶盖\n": (
        [BOTH[0], ("T恤", None), ("红T恤", None), BOTH[1], ("奶盖", None)],
        "as synonyms",
    ),
    "红色T恤/草莓奶盖\n长裤——短裤\n": ([("红色T恤", None), ("草莓奶盖", None), ("长裤", None), ("短裤", None)], "list"),
    "红色T恤 草莓奶盖\n雪花酥　红鞋\n": ([*BOTH, ("雪花酥", None), ("红鞋", None)], "as a list of words on one line"),
    "红色T恤 草莓奶盖 雪花酥": ([*BOTH, ("雪花酥", None)], "as a list of words on one line"),
    "①红色T恤\n②草莓奶盖\n": (BOTH, "without the numbers of a list"),
    "一、红色T恤\n二、草莓奶盖\n": (BOTH, "without the numbers of a list"),
    "; clothes\n红色T恤 #衣服\n-- x\n% y\n/* z */\n草莓奶盖//饮料\n": (
        BOTH,
        "Skipped as a comment: line 1 '; clothes' and 5",
    ),
    "红鞋=ban can hen\n草莓=pan men\n": (  # words, which only look like pinyin
        [("红鞋", None), ("ban can hen", None), ("草莓", None), ("pan men", None)],
        "as synonyms",
    ),
    "北 京\n上 海\n": ([("北 京", None), ("上 海", None)], None),
    "mp3 播放器\nmp4 播放器\n": ([("mp3 播放器", None), ("mp4 播放器", None)], None),
    "7 up\n红色T恤\n": ([("7 up", None), ("红色T恤", None)], None),
}


@pytest.mark.parametrize("text", FORMS)
def test_other_forms_of_dictionaries(tmp_path, text):
    expected, note = FORMS[text]
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    dictionary = read_user_dictionary(path)
    assert [(entry.word, entry.frequency) for entry in dictionary.entries] == expected
    assert any(note in text for text in dictionary.notes) if note else not dictionary.notes, dictionary.notes


def test_entries_with_signs_are_counted_apart(segmenter):
    entries = "红色T恤 草莓奶盖\n100 雪花酥\nleap motion\nC/C++\n让·雷诺\nПривет мир\nL'Oréal\n100%\n红色T恤（衣服）\n"
    report = segmenter(entries).dictionary_report()
    assert report.to_text().endswith(
        "words.txt: 6 of 9 entries are kept whole; only with their signs and spaces: line 1 '红色T恤 草莓奶盖', "
        "line 2 '100 雪花酥', line 9 '红色T恤（衣服）'."
    )
    assert [item["line"] for item in report.to_dict()["with_signs"]] == [1, 2, 9]
    assert report.not_kept == ()
    lines = segmenter("red 红色T恤\nmilk 草莓奶盖\n狗\n").dictionary_report().to_text()
    assert "1 of 3 entries are kept whole; only with their signs and spaces: line 1" in lines
    assert lines.endswith("Most lines are no single words: write one word per line, 'word frequency tag'.")
    again = segmenter("红色T恤 5\n草莓奶盖\n红色T恤 7\n").dictionary_report().to_text()
    assert again.endswith("Given again with another frequency, of which the first counts: line 3 '红色T恤'.")


def scel(*groups):
    """A cell dictionary of Sogou: groups of words that sound alike."""

    def text(value):
        data = value.encode("utf-16-le")
        return struct.pack("<H", len(data)) + data

    data = b"\x40\x15\x00\x00DCS\x01\x01\x00\x00\x00".ljust(0x124, b"\0") + struct.pack("<I", sum(map(len, groups)))
    data = data.ljust(0x130, b"\0") + "我的词库".encode("utf-16-le")
    data = (
        data.ljust(0x1540, b"\0")
        + struct.pack("<HH", 2, 0)
        + b"".join(struct.pack("<H", index) + text(syllable) for index, syllable in enumerate(("hong", "cao")))
    )
    for words in groups:
        data += struct.pack("<HHHH", len(words), 4, 0, 1)
        data += b"".join(text(word) + struct.pack("<HHII", 10, 7, 0, 0) for word in words)
    return data + "DELTBL".encode("utf-16-le") + bytes(9)


def workbook(*sheets):
    """A workbook with a sheet per list of rows."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


WORDS = ["红色t恤", "草莓奶盖"]
BINARY = {
    "scel": (lambda: scel(["红色t恤", "草莓奶盖"], ["leap motion"]), [*WORDS, "leap motion"], "(SCEL): 3 of 3 entries"),
    "column": (lambda: workbook([["红色T恤"], ["草莓奶盖"]]), WORDS, "Read from column 1 of the sheet 'Sheet'."),
    "header": (
        lambda: workbook(
            [["序号", "词语", "词频", "备注"], [1, "红色T恤", 500.0, "x"], [2, "草莓奶盖", None, ""]], [["y"]]
        ),
        WORDS,
        "Read from column 2 (词语) and column 3 (词频), not from column 1, 4, of the sheet 'Sheet'. Sheets not",
    ),
    "frequencies": (lambda: workbook([["红色T恤", 500], ["草莓奶盖", 3]]), WORDS, "from column 1 and column 2 of the"),
    "numbers first": (lambda: workbook([[1, "红色T恤"], [2, "草莓奶盖"]]), WORDS, "column 2, not from column 1,"),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_dictionaries(segmenter, tmp_path, name):
    make, words, note = BINARY[name]
    custom = segmenter(make())
    report = custom.dictionary_report()
    assert (report.num_entries, report.not_kept) == (len(words), ())
    assert note in report.to_text()
    assert custom.segment(f"一件{words[0]}和{words[1]}") == ["一件", words[0], "和", words[1]]
    # Bundles contain the words as text, for which no optional package is needed.
    copy = tmp_path / "copy.txt"
    copy.write_bytes(dictionary_as_text(tmp_path / "words.txt"))
    entries = [read_user_dictionary(path).entries for path in (tmp_path / "words.txt", copy)]
    assert [[(entry.word, entry.frequency) for entry in found] for found in entries] == [
        [(entry.word, entry.frequency) for entry in entries[0]]
    ] * 2


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("words.scel", lambda: scel(WORDS)[:-40], "damaged cell dictionary of Sogou"),
        ("words.scel", lambda: scel(), "without words that can be read; convert it to text"),
        ("words.bdict", lambda: b"biptbdsw\0\0", r"of another kind \(\.bdict\); convert it to text .* imewlconverter"),
        ("words.xls", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is not .xlsx; save it as .xlsx"),
        ("words.xlsx", lambda: workbook([["红色T恤"]])[:-99], "a workbook that cannot be read; save it as CSV UTF-8"),
        ("words.xlsx", lambda: workbook([[]]), "a workbook without words"),
        ("words.xlsx", lambda: workbook([["词", "词频"], ["狗", 0]]), "line 2: expected 'word .frequency above 0."),
    ],
)
def test_binary_dictionaries_that_cannot_be_read(tmp_path, file, content, message):
    (tmp_path / file).write_bytes(content())
    with pytest.raises(ConfigError, match=f"{file}.*{message}"):
        read_user_dictionary(tmp_path / file)


def test_workbooks_need_openpyxl(tmp_path, monkeypatch):
    (tmp_path / "words.xlsx").write_bytes(workbook([["狗"]]))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ConfigError, match=r'pip install "caption_tx\[excel\]" to read it, or save it as CSV UTF-8'):
        read_user_dictionary(tmp_path / "words.xlsx")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "# Google_Product_Taxonomy_Version: 2021-09-21\n1 - 动物/宠物用品\n3237 - 动物/宠物用品 > 活动物\n"
            "3 - 动物/宠物用品 > 宠物用品 > 鸟用品\n166 - 服饰与配饰\n5322 - 服饰与配饰 > 服装 > 运动服\n",
            "动物 宠物用品 活动物 鸟用品 服饰与配饰 服装 运动服",
        ),
        ("动物 > 活动物\n动物>鸟用品\n动物 › 鸟用品 › 鸟笼\n", "动物 活动物 鸟用品 鸟笼"),
        ("动物/宠物/鸟笼\n动物/宠物\n动物/家畜/奶牛\n", "动物 宠物 鸟笼 家畜 奶牛"),
        (
            "Pets > Live Animals\nPets > Bird Supplies\nPets > Bird Supplies > Cages\n",
            "Pets Live_Animals Bird_Supplies Cages",
        ),
        ("词/n\n狗/n\n猫/n\n", "词 狗 猫"),
    ],
)
def test_taxonomies(tmp_path, text, words):
    entries, notes = read(tmp_path, text)
    assert [word for word, _ in entries] == [word.replace("_", " ") for word in words.split()]
    assert ("as a taxonomy, each of whose levels is an entry" in notes) == ("n\n" not in text)
