"""User dictionaries: which entries stay whole in captions, how files are read, and the report."""

import pickle

import pytest
from user_dictionaries import read

from caption_tx.config import TextConfig
from caption_tx.data.text.segmentation import Segmenter, detokenize
from caption_tx.data.text.user_dictionary import EntryMatcher, read_user_dictionary
from caption_tx.errors import ConfigError


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
        "words.txt: 1 of 4 entries from 5 lines are kept whole; not kept: line 2 '😀' (no letter or digit), "
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


@pytest.mark.parametrize(
    "words",
    [
        ["雪糕車", "𠝹紙刀", "電𨋢", "雞蛋仔", "紅色的士", "細路", "嗰個", "佢哋"],
        ["雪糕車", "的士站", "𠝹紙刀", "茶餐廳"],
        ["嘅", "咗", "啲", "嘢飲", "佢哋", "瞓覺", "冚被", "啱啱", "電𨋢", "鰂魚涌"],
    ],
)
def test_dictionaries_with_letters_of_hong_kong(segmenter, words):
    custom = segmenter("\n".join(words).encode("big5hkscs"))
    report = custom.dictionary_report()
    assert f"(BIG5HKSCS): {len(words)} of {len(words)} entries are kept whole." in report.to_text()
    assert custom.segment(f"一{words[2]}一")[1] == words[2]


def test_a_dictionary_of_one_word_in_gbk(segmenter):
    report = segmenter("狗狗".encode("gbk")).dictionary_report()
    assert "(GB18030): 1 of 1 entries" in report.to_text()


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


@pytest.mark.parametrize("caption", ["女孩拿着Hello Kitty的包", "女孩拿着Hello_Kitty的包"])
def test_titles_of_pages_match_with_spaces_and_as_written(segmenter, caption):
    words = segmenter("page_title\nHello_Kitty\n奶茶\n").segment(caption)
    assert "hello" not in words and [word for word in words if word.startswith("hello")]
