"""Problems in the text of a single caption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caption_tx.config import CAPTION_PROBLEMS
from caption_tx.data.checks.caption_problems import caption_problems, han_forms
from caption_tx.data.checks.findings import KINDS

PROBLEMS = [
    ("zh", "🐶🐱", "no_letters"),
    ("zh", "。。。", "no_letters"),
    ("en", "123", "no_letters"),
    ("zh", "无", "placeholder"),
    ("zh", "“暂无”。", "placeholder"),
    ("en", "N/A", "placeholder"),
    ("en", "null", "placeholder"),
    ("en", "No caption.", "placeholder"),
    ("zh", "一只\ufffd\ufffd在跑", "damaged_text"),
    ("zh", "锟斤拷锟斤拷", "damaged_text"),
    ("en", "a child\u00e2\u20ac\u2122s ball", "damaged_text"),
    ("zh", "<b>一只狗</b>在跑", "html"),
    ("en", "a dog &amp; a cat", "html"),
    ("en", 'a dog <br/> and <a href="http://x.y">more</a>', "html"),
    ("en", "a dog, see https://example.org/dog", "url"),
    ("zh", "一只狗www.taobao.com", "url"),
    ("en", "ask jo.do@example.org for this dog", "email"),
    ("en", "IMG_20210304_1234", "file_name"),
    ("en", "DSC01234.JPG", "file_name"),
    ("zh", "微信图片_20210304", "file_name"),
    ("en", "my dog #cute #puppy", "hashtag"),
    ("zh", "今天的狗#狗狗日常#", "hashtag"),
    ("en", "the dog of @someone", "hashtag"),
    ("zh", "哈哈哈哈哈", "repetition"),
    ("zh", "一只狗一只狗一只狗", "repetition"),
    ("en", "a dog dog dog dog", "repetition"),
    ("en", "a sooooo cute dog", "repetition"),
    ("en", "1girl, long_hair, blue eyes, smile", "tag_list"),
    ("en", "dog, beach, sunset", "tag_list"),
    ("en", "1girl long_hair blue_eyes solo", "tag_list"),
    ("zh", "天空，大海，沙滩", "tag_list"),
    ("zh", "女孩、帽子、微笑、海边。", "tag_list"),
    ("zh", "犬が走っている", "kana_or_hangul"),
    ("zh", "한국어 설명", "kana_or_hangul"),
    ("zh", "a dog runs", "wrong_script"),
    ("zh", "собака бежит", "wrong_script"),
    ("zh", "狗 runs on the green grass", "wrong_script"),
    ("en", "一只狗在跑", "wrong_script"),
    ("en", "собака runs по траве", "wrong_script"),
    ("en", "a 犬が走っています", "wrong_script"),
]
ORDINARY = [
    ("zh", "一只狗在草地上奔跑。"),
    ("zh", "一个穿着T恤的男人，戴着NIKE帽子，拿着iPhone。"),
    ("zh", "２个男人在跑步"),
    ("zh", "狗。"),
    ("zh", "男人穿adidas"),
    ("zh", "鲜の每日"),
    ("zh", "跑来跑去的狗、猫和一只鸟"),
    ("zh", "一个男人，一个女人，一只狗"),
    ("zh", "五颜六色的𠮷野家招牌"),
    ("en", "A dog runs through the grass ."),
    ("en", "A man, a woman, and a child ."),
    ("en", "Red, white, and blue flags"),
    ("en", "Player #23 of team #1 runs @ full speed & jumps"),
    ("en", "a banana and an o'clock sign in a café"),
    ("en", "a <3 balloon costs 5 < 7 dollars"),
    ("en", "A man's photo of 100,000 people"),
    ("en", "two dogs , one brown and one black , play"),
]


@pytest.mark.parametrize(("language", "caption", "problem"), PROBLEMS)
def test_captions_with_a_problem(language, caption, problem):
    assert caption_problems(caption, language)[:1] == (problem,)


@pytest.mark.parametrize(("language", "caption"), ORDINARY)
def test_ordinary_captions_have_no_problems(language, caption):
    assert caption_problems(caption, language) == ()


@pytest.mark.parametrize(
    ("language", "caption", "problems"),
    [
        ("en", '<a href="https://x.org">a dog</a>', ("html", "url")),
        ("zh", '<a href="https://x.org/some/long/way">一只狗</a>', ("html", "url")),
        ("zh", "<b>a dog runs</b>", ("html", "wrong_script")),
        ("zh", "https://x.org", ("url",)),
        ("en", "dog, beach, sunset #cute jo@x.org", ("email", "hashtag", "tag_list")),
        ("zh", "天空，大海，沙滩http://x.org/a", ("url", "tag_list")),
        ("en", "haaaaappy dog &amp; cat \ufffd", ("damaged_text", "html", "repetition")),
        ("en", "http://x.org/1.jpg", ("url", "file_name")),
        ("en", "null", ("placeholder",)),
        ("en", "a dog", ()),
    ],
)
def test_all_problems_of_a_caption_are_returned(language, caption, problems):
    assert caption_problems(caption, language) == problems


def test_every_problem_has_an_example_and_a_description():
    assert {problem for _, _, problem in PROBLEMS} == set(CAPTION_PROBLEMS)
    assert [kind for kind in KINDS if kind in CAPTION_PROBLEMS] == list(CAPTION_PROBLEMS)
    assert {KINDS[kind].unit for kind in CAPTION_PROBLEMS} == {"captions"}


@given(st.text(min_size=1, max_size=30), st.sampled_from(["zh", "en"]))
def test_any_text_gives_problems_in_order(caption, language):
    problems = caption_problems(caption, language)
    assert list(problems) == [kind for kind in CAPTION_PROBLEMS if kind in problems]


@given(st.sampled_from([case for case in PROBLEMS if case[1].isascii()]), st.integers(2, 2000))
def test_long_captions_are_checked_quickly(case, times):
    # Regular expressions with catastrophic backtracking would not finish.
    caption_problems(case[1] * times, case[0])
    caption_problems("ab" * times + "," * times, case[0])


def test_human_captions_of_flickr8k_have_no_problems(shared):
    for tag, language in (("zhc", "zh"), ("enc", "en")):
        lines = (shared / "data" / "flickr8k" / f"flickr8k{tag}.caption.txt").read_text("utf-8").splitlines()
        captions = [line.partition(" ")[2] for line in lines]
        assert len(captions) == 35_000
        assert [caption for caption in captions if caption_problems(caption, language)] == []


def test_characters_of_one_form_only():
    simplified, traditional = han_forms()
    assert {"裤", "骑", "马"} <= simplified
    assert {"褲", "騎", "馬"} <= traditional
    assert not simplified & traditional
    for shared_character in "人里后台着只一":
        assert shared_character not in simplified | traditional
