"""Segmentation of Chinese and English captions, user dictionaries and script conversion."""

import pickle
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caption_tx.config import TextConfig
from caption_tx.data.text import segmentation
from caption_tx.data.text.segmentation import Segmenter, detokenize, strip_punctuation
from caption_tx.errors import ConfigError

CHINESE = Segmenter(TextConfig(language="zh"))
ENGLISH = Segmenter(TextConfig(language="en"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("一个穿着红色T恤的女人。", "一个 穿着 红色 t恤 的 女人"),
        ("狗，猫！“鸟”？《鱼》……、；：（马）【牛】", "狗 猫 鸟 鱼 马 牛"),
        ("两只狗 在\u3000草地上\t奔跑.", "两只 狗 在 草地 上 奔跑"),
        ("iPhone 手机,50%和3.5米", "iphone 手机 50% 和 3.5 米"),
        ("t-shirt", "t shirt"),
        ("笑脸😀★", "笑脸"),
        ("。，！", ""),
        ("", ""),
        ("\0\u200b\ufeff", ""),
        ("[START] _狗_", "start 狗"),
    ],
)
def test_chinese_segmentation(text, words):
    assert CHINESE.segment(text) == words.split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A child in a Pink dress .", "a child in a pink dress"),
        ("The dog's ball , isn't it ?", "the dog's ball isn't it"),
        ("The dog\u2019s \u2018toy\u2019", "the dog's toy"),
        ("'quoted' boys' ' '' rock'n'roll", "quoted boys rock'n'roll"),
        ("black-and-white T-shirt 4x4 #23", "black and white t shirt 4x4 23"),
        ("a_b <b>x</b> & y", "a b b x b y"),
        ("Cafe\u0301 na\u00efve \u0130zmir", "caf\u00e9 na\u00efve izmir"),
        ("I\u0307zmir हिन्दी الْعَرَبِيَّة הַשָּׁלוֹם क्\u200dष co\xadop", "izmir हिन्दी الْعَرَبِيَّة הַשָּׁלוֹם क्ष coop"),
        ("a \u2764\ufe0f dog 1\ufe0f\u20e3 \u0301b", "a dog 1 b"),
        ("", ""),
        ("...", ""),
    ],
)
def test_english_segmentation(text, words):
    assert ENGLISH.segment(text) == words.split()


@pytest.mark.parametrize(
    ("text", "words", "caption"),
    [
        ("Pokémon玩偶", "pokémon 玩偶", "pokémon玩偶"),
        ("İstanbul的街道", "istanbul 的 街道", "istanbul的街道"),
        ("x\u0304ray和הַשָּׁלוֹם", "x\u0304ray 和 הַשָּׁלוֹם", "x\u0304ray和הַשָּׁלוֹם"),
        ("Poke\u0301mon玩偶", "pokémon 玩偶", "pokémon玩偶"),
        ("一支L'Oréal口红", "一支 l'oréal 口红", "一支l'oréal口红"),
        ("吃Häagen\u2011Dazs冰淇淋", "吃 häagen-dazs 冰淇淋", "吃häagen-dazs冰淇淋"),
        ("Việt Nam河粉", "việt nam 河粉", "việt nam河粉"),
        ("don\u2019t stop的t-shirt", "don't stop 的 t shirt", "don't stop的t shirt"),
        ("北京O'Brien's酒吧", "北京 o'brien's 酒吧", "北京o'brien's酒吧"),
        ("90's的5'8", "90's 的 5 8", "90's的5 8"),
        ("他说‘hello’", "他 说 hello", "他说hello"),
        ("Привет мир横幅", "привет мир 横幅", "привет мир横幅"),
        ("Ελλάδα的旗", "ελλάδα 的 旗", "ελλάδα的旗"),
        ("안녕 하세요招牌", "안녕 하세요 招牌", "안녕 하세요招牌"),
        ("שלום和مرحبا", "שלום 和 مرحبا", "שלום和مرحبا"),
        ("हिन्दी किताब书", "हिन्दी किताब 书", "हिन्दी किताब书"),
        ("ที่นี่和คน", "ที่นี่ 和 คน", "ที่นี่和คน"),
        ("می\u200cخواهم书", "میخواهم 书", "میخواهم书"),
        ("ＡＢＣ公司的２０号", "ａｂｃ 公司 的 ２ ０ 号", "ａｂｃ公司的２０号"),
        ("红T恤上的iPhone", "红 t恤 上 的 iphone", "红t恤上的iphone"),
    ],
)
def test_words_of_other_scripts_stay_whole_in_chinese_captions(text, words, caption):
    assert CHINESE.segment(text) == words.split()
    assert detokenize(words.split(), "zh") == caption
    assert CHINESE.segment(caption) == words.split()


@pytest.mark.parametrize(
    ("language", "option", "text", "words"),
    [
        ("en", "drop_one_letter_words", "A dog 's 7 balls", "dog balls"),
        ("en", "drop_words_with_digits", "a 4x4 car 23", "a car"),
        ("zh", "drop_one_letter_words", "狗在跑", "狗 在 跑"),
        ("zh", "drop_words_with_digits", "3.5米和7号", "米 和 号"),
    ],
)
def test_options_that_drop_words(language, option, text, words):
    assert Segmenter(TextConfig(language=language, **{option: True})).segment(text) == words.split()


@pytest.mark.parametrize(
    ("words", "language", "text"),
    [
        ("一个 女人", "zh", "一个女人"),
        ("穿 t恤 的 人", "zh", "穿t恤的人"),
        ("看 new york 的 3 5 张", "zh", "看new york的3 5张"),
        ("a t恤 caf\u00e9 bar", "zh", "a t恤caf\u00e9 bar"),
        ("two dogs run", "en", "two dogs run"),
        ("", "zh", ""),
        ("", "en", ""),
    ],
)
def test_detokenize(words, language, text):
    assert detokenize(words.split(), language) == text


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("一个 人，在“T恤”店。", "zh", "一个人在t恤店"),
        ("A dog's ball, T-shirt!", "en", "a dog's ball t shirt"),
        ("。", "zh", ""),
    ],
)
def test_strip_punctuation(text, language, expected):
    assert strip_punctuation(text, language) == expected


def test_segmenting_detokenized_chinese_gives_the_same_words():
    for text in ("一个穿着红色T恤的女人", "两只狗在草地上奔跑", "一辆Ford Focus汽车"):
        words = CHINESE.segment(text)
        assert CHINESE.segment(detokenize(words, "zh")) == words


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.sampled_from([CHINESE, ENGLISH]))
def test_words_never_contain_white_space(text, segmenter):
    for word in segmenter.segment(text):
        assert word.split() == [word]
        assert word.isprintable()


FOREIGN = st.text(alphabet="aé'’-й하ที่ก啊恤t1 ", max_size=30)


@settings(max_examples=200, deadline=None)
@given(FOREIGN)
def test_segmentation_loses_no_letter(text):
    letters = [character for character in text.lower() if character.isalnum()]
    assert [character for word in CHINESE.segment(text) for character in word if character.isalnum()] == letters


def test_a_user_dictionary_affects_no_other_segmenter(tmp_path, capfd):
    path = tmp_path / "words.txt"
    path.write_text("\ufeff红色t恤 100000 n\n\nUltraDog\n草地上奔跑 5000000\n", encoding="utf-8")
    customized = Segmenter(TextConfig(user_dictionary=str(path)))
    text = "红色T恤和两只狗在草地上奔跑"
    assert {"红色t恤", "草地上奔跑"} <= set(customized.segment(text))
    assert not {"红色t恤", "草地上奔跑"} & set(CHINESE.segment(text))
    import jieba

    assert "草地上奔跑" not in jieba.lcut(text)
    assert capfd.readouterr() == ("", "")


def test_pickling_keeps_the_user_dictionary(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("草地上奔跑 5000000\n", encoding="utf-8")
    segmenter = Segmenter(TextConfig(user_dictionary=str(path)))
    segmenter.segment("狗")
    assert pickle.loads(pickle.dumps(segmenter)).segment("在草地上奔跑") == ["在", "草地上奔跑"]


def test_jieba_loads_without_a_cache_folder(monkeypatch, tmp_path, capfd):
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(segmentation.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
        assert segmentation._load_jieba().lcut("女人") == ["女人"]
    assert capfd.readouterr() == ("", "")


def test_full_width_letters_are_folded_only_with_nfkc():
    text = "ＡＢＣ公司的１号车"
    assert Segmenter(TextConfig(nfkc=True)).segment(text) == CHINESE.segment("ABC公司的1号车")
    assert "ａｂｃ" in "".join(CHINESE.segment(text))
    assert Segmenter(TextConfig(language="en", nfkc=True)).segment("Ｔｗｏ dogs") == ["two", "dogs"]


def test_characters_are_converted_only_with_a_script():
    simplified, traditional = (Segmenter(TextConfig(script=script)) for script in ("simplified", "traditional"))
    assert "".join(simplified.segment("頭髮很長的女人在發球")) == "头发很长的女人在发球"
    assert "".join(traditional.segment("头发很长的女人在发球")) == "頭髮很長的女人在發球"
    assert "".join(CHINESE.segment("頭髮很長")) == "頭髮很長"
    assert pickle.loads(pickle.dumps(simplified)).segment("跑車") == ["跑车"]
    assert Segmenter(TextConfig(language="en", script="simplified")).segment("頭") == ["頭"]


@pytest.mark.parametrize(
    ("text", "simplified"),
    [
        ("女孩看著窗外", "女孩看着窗外"),
        ("桌上放著一臺電腦", "桌上放着一台电脑"),
        ("著名的廟", "著名的庙"),
        ("看着显著", "看着显著"),
    ],
)
def test_captions_of_taiwan_become_simplified(text, simplified):
    assert "".join(Segmenter(TextConfig(script="simplified")).segment(text)) == simplified


def test_a_script_without_opencc_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opencc", None)
    with pytest.raises(ConfigError, match=r"'simplified' requires OpenCC; install it with .*caption_tx\[opencc\]"):
        Segmenter(TextConfig(script="simplified"))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_evaluation_keeps_marks_inside_words(language):
    assert strip_punctuation("İzmir, הַשָּׁלוֹם \u2764\ufe0f!", language).replace(" ", "") == "izmirהַשָּׁלוֹם"
