"""The warning about captions in another language than the configured one."""

import pytest

from caption_tx.data.checks.language import language_warning

CHINESE = ["一只狗在草地上跑", "两个人在海边散步，穿着T恤", "一个女孩在跳舞", "NIKE运动鞋"]
ENGLISH = ["a dog runs on the grass", "two people walk", "a girl dances at a café"]


@pytest.mark.parametrize(
    ("captions", "language", "expected"),
    [
        (
            ENGLISH,
            "zh",
            r"warning: 100% of captions are not Chinese ('a dog runs on the grass', ..); set language (--language) to ",
        ),
        (
            CHINESE,
            "en",
            "warning: 75% of captions are not English ('一只狗在草地上跑', ..); set language (--language) to zh",
        ),
        (["犬が草の上を走っています", "猫がねています"], "zh", "warning: 100% of captions are not Chinese"),
        (
            ["Собака бежит по траве", "Две кошки спят"],
            "en",
            "only Chinese (zh) and English (en) are segmented into words.",
        ),
        (
            CHINESE[:3] + ENGLISH[:1],
            "zh",
            "25% of captions are not Chinese ('a dog runs on the grass', ..); set language (--language) to en, "
            "or leave them out with leave_out (--leave-out) wrong_script,kana_or_hangul.",
        ),
    ],
)
def test_another_language_is_named(captions, language, expected):
    warning = language_warning(captions, language)
    assert expected in warning
    assert "\n" not in warning


@pytest.mark.parametrize(
    ("captions", "language"),
    [
        (CHINESE, "zh"),
        (ENGLISH, "en"),
        (CHINESE * 5 + ENGLISH, "zh"),
        (["two men", "big dog", "women can run in a van"], "en"),
        (["a man in a sombrero", "the die is on a table", "Los Angeles at night with a car"], "en"),
        (["dog running grass", "nike running shoes men", "red mug"] * 5, "en"),
        (["kwa mbwa nyasi"] * 5, "en"),  # too few to tell
        ([], "zh"),
    ],
)
def test_captions_of_the_language_are_not_reported(captions, language):
    assert language_warning(captions, language) is None


@pytest.mark.parametrize(
    ("captions", "language", "expected"),
    [
        (
            ["Ein Hund läuft auf dem Gras", "Zwei Katzen schlafen auf einem Sofa"],
            "en",
            "100% of captions look German (",
        ),
        (["un chien court dans l'herbe", "deux chats dorment sur le lit"], "en", "look French ("),
        (["un perro corre por la hierba", "dos gatos en el sofá"], "en", "look Spanish ("),
        (["een hond op het gras", "twee katten slapen op de bank"], "en", "look Dutch ("),
        (
            ["Ein Hund läuft auf dem Gras", "Zwei Katzen auf einem Sofa"],
            "zh",
            "they look German: only Chinese (zh) and",
        ),
        (["yi zhi gou zai caodi shang pao", "liang zhi mao zai shuijiao"], "en", "pinyin ('yi zhi gou"),
        (["yī zhī gǒu zài pǎo", "liǎng zhī māo", "lǜ sè de shù"], "zh", "look like pinyin: write Chinese characters."),
        (["mbwa anakimbia kwenye nyasi", "paka watatu wamelala ndani ya sanduku"], "en", "look unlike English ('mbwa"),
        (["koira juoksee nurmikolla", "kaksi kissaa nukkuu sohvalla"], "zh", "they look unlike English: only Chinese"),
        (["犬が草の上を走っている", "二匹の猫が寝ている"], "en", "only Chinese (zh) and English (en)"),
    ],
)
def test_languages_that_are_neither_chinese_nor_english(captions, language, expected):
    warning = language_warning(captions * 5, language)
    assert expected in warning
    assert "--language" not in warning


def test_real_captions(shared):
    folder = shared / "data" / "flickr8k"
    for name, language, other in (("zhc", "zh", "en"), ("enc", "en", "zh")):
        lines = (folder / f"flickr8k{name}.caption.txt").read_text(encoding="utf-8").splitlines()
        captions = [line.partition(" ")[2] for line in lines]
        assert language_warning(captions, language) is None
        assert language_warning(captions, other).endswith(f"set language (--language) to {language}.")
