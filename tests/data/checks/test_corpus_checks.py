"""Everything a corpus check looks for, on small corpora with real image files, and on the real ones."""

import base64
import csv
import io
import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from caption_tx.cli import main
from caption_tx.config import CAPTION_PROBLEMS, TextConfig
from caption_tx.data.checks import caption_problems as captions
from caption_tx.data.checks.caption_problems import caption_problems, han_forms
from caption_tx.data.checks.corpus_checks import Findings, check_corpus
from caption_tx.data.checks.findings import COLUMNS, KINDS, LISTED
from caption_tx.data.checks.plot import corpus_figure
from caption_tx.data.checks.report import WIDTH, display_width, format_report
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.images.sources import open_images
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.word_lists import WordLists
from caption_tx.errors import CorpusError, ImageError

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
FINE = [
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
def test_captions_that_are_none(language, caption, problem):
    assert caption_problems(caption, language)[:1] == (problem,)


@pytest.mark.parametrize(("language", "caption"), FINE)
def test_captions_that_are_fine(language, caption):
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
def test_all_that_is_wrong_with_a_caption(language, caption, problems):
    assert caption_problems(caption, language) == problems


def test_a_caption_counts_under_every_problem_that_it_has(corpus):
    report = check(corpus(("a.jpg", "<b>一只狗</b>http://x.org"), ("b.jpg", "一只猫"), ("b.jpg", "一只猫", "train")))
    counts = {kind: count for kind, count in found(report).items() if kind in CAPTION_PROBLEMS}
    assert counts == {"html": 1, "url": 1}


def test_every_kind_of_caption_problem_is_tried_and_described():
    assert {problem for _, _, problem in PROBLEMS} == set(CAPTION_PROBLEMS)
    assert [kind for kind in KINDS if kind in CAPTION_PROBLEMS] == list(CAPTION_PROBLEMS)


@given(st.text(min_size=1, max_size=30), st.sampled_from(["zh", "en"]))
def test_any_text_gets_an_answer(caption, language):
    problems = caption_problems(caption, language)
    assert list(problems) == [kind for kind in CAPTION_PROBLEMS if kind in problems]


@given(st.sampled_from([case for case in PROBLEMS if case[1].isascii()]), st.integers(2, 2000))
def test_long_captions_take_no_time(case, times):
    # Regular expressions that try every way to match would not come back from this.
    caption_problems(case[1] * times, case[0])
    caption_problems("ab" * times + "," * times, case[0])


def test_the_real_captions_written_by_people_are_fine(shared):
    for tag, language in (("zhc", "zh"), ("enc", "en")):
        lines = (shared / "data" / "flickr8k" / f"flickr8k{tag}.caption.txt").read_text("utf-8").splitlines()
        captions = [line.partition(" ")[2] for line in lines]
        assert len(captions) == 35_000
        assert [caption for caption in captions if caption_problems(caption, language)] == []


def test_letters_of_one_form_only():
    simplified, traditional = han_forms()
    assert {"裤", "骑", "马"} <= simplified
    assert {"褲", "騎", "馬"} <= traditional
    assert not simplified & traditional
    for both in "人里后台着只一":
        assert both not in simplified | traditional


@pytest.fixture
def corpus(tmp_path):
    """Writes a CSV of (image, caption[, split]) rows and returns its table."""

    def write(*rows, name="captions.csv", **options):
        with open(tmp_path / name, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("image", "caption", "split"), *((*row, "train")[:3] for row in rows)])
        return read_corpus(tmp_path / name, **options)

    return write


def check(table, language="zh", **options):
    text = TextConfig(language=language, **options.pop("text", {}))
    return check_corpus(table, Segmenter(text), **options)


def found(report):
    return {kind: about["count"] for kind, about in report["findings"].items() if about["count"]}


def level(report, kind):
    return report["findings"][kind]["level"]


def test_each_kind_of_text_is_found_where_it_stands(corpus):
    captions = [caption for language, caption, _ in PROBLEMS if language == "zh"]
    expected = [problem for language, _, problem in PROBLEMS if language == "zh"]
    table = corpus(("a.jpg", "一只狗在跑。"), *((f"{n}.jpg", caption) for n, caption in enumerate(captions)))
    report = check(table)
    for problem in CAPTION_PROBLEMS:
        about = report["findings"][problem]
        places = [place for place, kind in enumerate(expected) if kind == problem]
        assert about["count"] == len(places)
        assert [place["line"] for place in about["first"]] == [place + 3 for place in places]
        assert [place["caption"] for place in about["first"]] == [captions[place] for place in places]
        assert {place["source"] for place in about["first"]} <= {table["source"].iloc[0]}
        assert about["of"] == len(table)
        assert about["share"] == pytest.approx(len(places) / len(table), abs=1e-6)


def test_remarks_on_captions(corpus):
    table = corpus(
        ("a.jpg", "一只狗在ＡＢＣ跑"),
        ("a.jpg", "一只\u200b狗在\ue000跑"),
        ("b.jpg", "狗。"),
        ("b.jpg", "狗" + "在草地上跑" * 2 + "一个女人看着它们和三个男人"),
        ("c.jpg", "一只狗在跑"),
        ("c.jpg", "一只狗在跑"),
        ("d.jpg", "2021 12"),
    )
    report = check(table, model_max_length=10, text={"drop_words_with_digits": True})
    counts = {"full_width": 1, "control_characters": 1, "one_word": 1, "too_long": 1, "repeated_caption": 1}
    assert found(report) == counts | {"no_letters": 1, "empty_split": 1}
    assert report["findings"]["control_characters"]["first"][0]["detail"] == "U+200B U+E000"
    assert "U+200B U+E000  一只?狗在?跑" in format_report(report)
    assert report["findings"]["too_long"]["first"][0]["detail"].endswith(" words")
    assert report["findings"]["repeated_caption"]["first"][0]["line"] == 7
    assert "full_width" not in found(check(table, text={"nfkc": True}))
    # One position for the start, so nine words fit into ten.
    words = WordLists.from_lists([["w"] * n for n in (9, 10, 1, 2, 3, 4, 0)])
    report = check(table, model_max_length=10, words=words)
    assert [place["detail"] for place in report["findings"]["too_long"]["first"]] == ["10 words"]
    assert report["findings"]["no_words"]["count"] == 0  # told as no_letters already
    words = WordLists.from_lists([["w"] * n for n in (9, 9, 9, 0, 3, 4, 0)])
    assert check(table, words=words)["findings"]["no_words"]["count"] == 1


def test_few_odd_captions_are_a_remark_and_many_a_problem(corpus):
    rows = [(f"{n}.jpg", f"第{n}只狗在跑") for n in range(198)]
    table = corpus(*rows, ("x.jpg", "a dog"), ("y.jpg", "a cat"), name="few.csv")
    assert level(check(table), "wrong_script") == "remark"
    assert "wrong_script" in check(table)["verdict"]["remarks"]
    table = corpus(*rows, ("x.jpg", "a dog"), ("y.jpg", "a cat"), ("z.jpg", "a bird"), name="many.csv")
    assert level(check(table), "wrong_script") == "problem"
    assert check(table)["verdict"]["problems"] == ["wrong_script"]


def test_simplified_among_traditional(corpus, monkeypatch):
    table = corpus(
        ("a.jpg", "一个骑马的男人"), ("b.jpg", "两条裤子"), ("c.jpg", "一條褲子"), ("d.jpg", "騎马"), ("e.jpg", "人")
    )
    report = check(table)
    assert report["scripts"] == {"simplified": 2, "traditional": 1, "both": 1, "either": 1}
    assert [(place["line"], place["detail"]) for place in report["findings"]["other_form"]["first"]] == [
        (4, "條褲"),
        (5, "騎"),
    ]
    assert "2 simplified only, 1 traditional only, 1 both" in format_report(report)
    converted = check(table, text={"script": "simplified"})
    assert "other_form" not in converted["findings"]
    assert check(table, "en")["scripts"] is None
    monkeypatch.setitem(sys.modules, "opencc", None)
    han_forms.cache_clear()
    report = check(table)
    han_forms.cache_clear()
    assert report["scripts"] is None
    assert "other_form" not in report["findings"]
    assert "pip install 'caption_tx[opencc]'" in format_report(report)


def test_captions_that_stand_under_several_images(corpus):
    table = corpus(
        *(("a.jpg", caption) for caption in ("一只狗", "一只猫", "一只猫")),
        *(("b.jpg", caption) for caption in ("一只猫", "一只狗")),
        *(("c.jpg", caption) for caption in ("一只狗", "一只鸟")),
        ("d.jpg", "一只狗"),
        ("e.jpg", "一只狗"),
    )
    report = check(table)
    same = report["findings"]["same_captions"]
    assert [(place["image"], place["detail"]) for place in same["first"]] == [("b.jpg", "as a.jpg")]
    assert same["of"] == 5
    assert report["frequent_captions"] == [
        {"caption": "一只狗", "count": 5, "images": 5},
        {"caption": "一只猫", "count": 3, "images": 2},
    ]
    assert [place["detail"] for place in report["findings"]["frequent_caption"]["first"]] == ["5 times", "3 times"]
    assert level(report, "frequent_caption") == "remark"


def test_lines_that_were_left_out(corpus):
    table = corpus(("a.jpg", "一只狗"), ("b.jpg", "一只猫", "val"))
    table.attrs["skipped"] = [
        ("x.csv", 3, "blank line"),
        ("x.csv", 4, "no caption"),
        ("x.csv", 5, "unknown split"),
        ("x.csv", 6, "blank line"),
    ]
    table.attrs["left_out"] = ["z.jpg"]
    report = check(table)
    assert report["skipped_reasons"] == {"blank line": 2, "no caption": 1, "unknown split": 1}
    levels = {kind: level(report, kind) for kind in ("bad_line", "empty_caption", "blank_line", "left_out_image")}
    assert levels == {
        "bad_line": "problem", "empty_caption": "remark", "blank_line": "fact", "left_out_image": "fact"
    }  # fmt: skip
    assert report["findings"]["bad_line"]["first"] == [{"source": "x.csv", "line": 5, "detail": "unknown split"}]
    text = format_report(report)
    assert "1 of 6 lines (16.67 %) that could not be read, left out" in text
    assert "x.csv:5  unknown split" in text


def test_machine_translations_are_no_references(corpus):
    table = corpus(
        ("a.jpg", "一只狗"), ("b.jpg", "一只猫", "val"), ("b.jpg", "两只猫", "val"), ("c.jpg", "一只鸟", "val"),
        ("d.jpg", "一只鸭", "test"),
    ).assign(origin=["machine", "human", "machine", "machine", "human"])  # fmt: skip
    report = check(table)
    assert report["findings"]["machine_in_evaluation"]["count"] == 2
    assert report["findings"]["machine_in_evaluation"]["of"] == 4
    alone = report["findings"]["image_without_reference"]
    assert (alone["count"], alone["of"], alone["level"]) == (1, 3, "remark")
    assert alone["first"][0]["image"] == "c.jpg"
    assert report["splits"]["val"] == {"images": 2, "captions": 3, "machine_captions": 2}
    assert report["origins"] == {"human": 2, "machine": 3}
    report = check(table.assign(origin="machine"))
    assert "image_without_reference" in report["verdict"]["problems"]


def test_words_of_machine_captions_outside_training_do_not_count(corpus):
    rows = [("a.jpg", "a dog runs"), ("b.jpg", "a dog", "val"), ("b.jpg", "zebra zebra zebra zebra", "val")]
    table = corpus(*rows).assign(origin=["machine", "human", "machine"])
    vocabulary = check(table, "en", text={"min_frequency": 1})["vocabulary"]
    assert vocabulary["unknown_share"] == {"train": 0.0, "val": 0.0}
    assert (vocabulary["words"], vocabulary["distinct_words"], vocabulary["most_frequent_unknown"]) == (5, 3, [])
    table["origin"] = "human"
    assert check(table, "en", text={"min_frequency": 1})["vocabulary"]["unknown_share"]["val"] == pytest.approx(4 / 6)


def test_counts_and_histograms(corpus):
    rows = [("a.jpg", "a dog runs"), ("a.jpg", "a cat sits here"), ("b.jpg", "dogs"), ("b.jpg", "a cat", "train")]
    report = check(corpus(*rows, ("c.jpg", "a very long caption of eight words indeed", "test")), "en")
    assert (report["images"], report["captions"]) == (3, 5)
    assert report["captions_per_image"]["histogram"] == [[1, 1], [2, 2]]
    assert report["caption_length"]["words"]["histogram"] == [[1, 1], [2, 1], [3, 1], [4, 1], [8, 1]]
    assert report["caption_length"]["characters"]["max"] == 41
    assert report["caption_length"]["words"]["median"] == 3.0
    assert report["findings"]["empty_split"]["first"] == [{"split": "val"}]
    assert json.loads(json.dumps(report)) == report


def test_the_vocabulary_is_the_one_that_training_builds(corpus):
    from caption_tx.data.text.tokenizer import Tokenizer
    from caption_tx.data.text.vocabulary import build_vocabulary

    random = np.random.default_rng(0)
    letters = [f"w{number}" for number in range(60)]
    rows = [
        (f"{n}.jpg", " ".join(random.choice(letters[: 40 if n < 70 else 60], 7)), ["train", "val", "test"][n // 70 % 3])
        for n in range(200)
    ]
    table = corpus(*rows)
    for min_frequency, max_size in ((4, 1000), (7, 20), (13, 1000)):
        text = {"min_frequency": min_frequency, "max_vocabulary_size": max_size}
        vocabulary = check(table, "en", text=text)["vocabulary"]
        segmenter = Segmenter(TextConfig(language="en"))
        lists = {
            split: WordLists.from_lists(map(segmenter.segment, table["caption"][table["split"] == split]))
            for split in ("train", "val", "test")
        }
        tokenizer = Tokenizer(build_vocabulary(lists["train"], max_size, min_frequency), "en")
        assert vocabulary["known_words"] == tokenizer.vocabulary_size - 4
        for split, words in lists.items():
            assert vocabulary["unknown_share"][split] == pytest.approx(tokenizer.coverage(words)["oov_share"], abs=1e-6)
        everything = tokenizer.coverage([*lists["train"], *lists["val"], *lists["test"]], LISTED)
        counted = [[count for _, count in items] for items in (vocabulary["most_frequent_unknown"],
                                                               everything["oov_most_common"])]  # fmt: skip
        assert counted[0] == counted[1]
        assert set(map(tuple, vocabulary["most_frequent_unknown"])) <= set(
            map(tuple, tokenizer.coverage([*lists["train"], *lists["val"], *lists["test"]], 1000)["oov_most_common"])
        )
        steps = {step["min_frequency"]: step for step in vocabulary["by_min_frequency"]}
        assert list(steps) == sorted({1, 2, 3, 4, 5, 8, 10, 20, 50, min_frequency})
        counts = lists["train"].counts()
        assert steps[min_frequency]["known_words"] == (counts >= min_frequency).sum()
        share = counts[counts < min_frequency].sum() / counts.sum()
        assert steps[min_frequency]["unknown_share"]["train"] == pytest.approx(share, abs=1e-6)
    assert "text.max_vocabulary_size keeps 16 words" in format_report(
        check(table, "en", text={"max_vocabulary_size": 20})
    )


def save(path, size=(80, 70), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def pictures(tmp_path):
    """A folder with a picture of every kind, and the captions' rows."""
    folder = tmp_path / "images"
    for seed, name in enumerate(["good.png", "more/good.png", "copied.png", "leaked.png", "spare.png", "left.png"]):
        save(folder / name, seed=seed)
    save(folder / "small.png", (63, 200), seed=11)
    save(folder / "narrow.png", (70, 281), seed=12)
    save(folder / "wide_enough.png", (280, 70), seed=13)
    (folder / "copy.png").write_bytes((folder / "copied.png").read_bytes())
    for name in ("leak_val.png", "leak_test.png"):
        (folder / name).write_bytes((folder / "leaked.png").read_bytes())
    (folder / "short.png").write_bytes((folder / "good.png").read_bytes()[:-900])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    Image.new("1", (9450, 9450)).save(folder / "huge.png")
    names = ["good.png", "more/good.png", "copied.png", "copy.png", "leaked.png", "small.png", "narrow.png"]
    names += ["wide_enough.png", "short.png", "empty.jpg", "text.jpg", "huge.png", "gone.png", "gone.png"]
    rows = [(name, f"一只狗在第{number}个草地上跑") for number, name in enumerate(names)]
    rows += [("leak_val.png", "一只猫在跑", "val"), ("leak_test.png", "一只鸟在飞", "test")]
    return SimpleNamespace(folder=folder, rows=rows)


def test_each_kind_of_image_is_found(corpus, pictures):
    table = corpus(*pictures.rows)
    table.attrs["left_out"] = ["left.png"]
    seen = []
    report = check(
        table,
        images=open_images(str(pictures.folder)),
        progress=lambda items, total, what: seen.append((what, total)) or items,
    )
    assert seen == [("images", 15), ("captions", 16)]
    first = {kind: about["first"] for kind, about in report["findings"].items()}
    assert [(place["image"], place["split"], place["detail"]) for place in first["image_in_two_splits"]] == [
        ("leaked.png", "train", "also leak_val.png (val), leak_test.png (test)")
    ]
    assert [(place["image"], place["detail"]) for place in first["same_image"]] == [
        ("copied.png", "also copy.png (train)")
    ]
    assert [(place["image"], place["detail"]) for place in first["missing_image"]] == [
        ("gone.png", "2 captions; cannot be read: No such file or directory.")
    ]
    reasons = {place["image"]: place["detail"] for place in first["unreadable_image"]}
    assert list(reasons) == ["short.png", "empty.jpg", "text.jpg", "huge.png"]
    assert reasons["short.png"].startswith("cannot be read: ")
    assert "truncated" in reasons["short.png"]
    assert "0 bytes" in reasons["empty.jpg"]
    assert "too large" in reasons["huge.png"]
    assert [(place["image"], place["detail"]) for place in first["small_image"]] == [("small.png", "63 x 200 pixels")]
    assert [place["image"] for place in first["narrow_image"]] == ["narrow.png"]
    assert first["uncaptioned_image"] == [{"image": "spare.png"}]
    images = report["checked_images"]
    counts = ("files", "named_by_captions", "read", "missing", "unreadable", "uncaptioned")
    assert [images[name] for name in counts] == [16, 15, 10, 1, 4, 1]
    assert images["smallest"] == {"image": "good.png", "width": 80, "height": 70}
    assert images["largest"]["image"] == "narrow.png"
    assert report["verdict"]["problems"] == ["image_in_two_splits", "missing_image", "unreadable_image"]


def test_the_report_for_a_person(corpus, pictures):
    table = corpus(*pictures.rows)
    report = check(table, images=open_images(str(pictures.folder)))
    text = format_report(report)
    lines = text.splitlines()
    assert [line for line in lines if display_width(line) > WIDTH + 4 and str(pictures.folder) not in line] == []
    assert [line for line in lines if line != line.rstrip()] == []
    sections = [line for line in lines if line and not line.startswith(" ")]
    assert sections == [
        "CORPUS", "SOURCES", "CAPTION LENGTH", "VOCABULARY", "IMAGES", "PROBLEMS", "REMARKS", "VERDICT"
    ]  # fmt: skip
    assert "15 images with 16 captions, read as Chinese" in text
    assert "1 of 10 pictures" not in text  # copies count once
    assert "1 of 7 pictures (14.29 %) under different names in different splits (a leak" in text
    assert "also leak_val.png (val), leak_test.png (test)" in text
    assert "captions.csv:14  gone.png  2 captions" in text
    assert "3 problems to mend before training" in text
    assert "10 read whole, 1 missing, 4 unreadable; 2 other images there have no captions" in text
    assert "captions.csv:11  empty.jpg  is empty (0 bytes)." in text
    verdict = text[text.index("VERDICT") :]
    assert "looked for and not found: empty split, bad line, " in verdict
    text = format_report(check(table))
    assert "not checked; name their folder with --images" in text
    assert "No problems found" in text
    assert "PROBLEMS" not in text


def test_columns_follow_wide_characters(corpus):
    rows = [(f"{n}.jpg", caption) for n, caption in enumerate(["一只狗在跑", "一只狗在跑", "dog runs", "dog runs"])]
    lines = format_report(check(corpus(*rows))).splitlines()
    start = lines.index("MOST FREQUENT CAPTIONS")
    places = [display_width(line[: line.index(" times")]) for line in lines[start + 1 : start + 3]]
    assert places[0] == places[1]
    assert display_width("狗a\u0301👩\u200d") == 5


def test_images_in_a_table_and_names_that_are_not_utf8(corpus, tmp_path):
    import base64

    save(tmp_path / "a.png")
    coded = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    (tmp_path / "pictures.tsv").write_text(f"1\t{coded}\n2\t{coded}\n3\t!!\n5\t{coded}\n")
    table = corpus(("1", "一只狗"), ("2", "一只猫", "val"), ("3", "一只鸟"), ("4", "一只鸭"))
    report = check(table, images=open_images(str(tmp_path / "pictures.tsv")))
    assert {kind: count for kind, count in found(report).items() if "image" in kind} == {
        "image_in_two_splits": 1, "unreadable_image": 1, "missing_image": 1, "uncaptioned_image": 1
    }  # fmt: skip
    folder = tmp_path / "odd"
    save(folder / "1.png")
    save(folder / "x.png")
    (folder / "x.png").rename(folder / b"\xff.png".decode("utf-8", "surrogateescape"))
    report = check(corpus(("1.png", "一只狗")), images=open_images(str(folder)))
    assert report["findings"]["uncaptioned_image"]["first"] == [{"image": "\\udcff.png"}]
    format_report(report).encode()


def test_damaged_is_told_from_lost_whatever_the_name(corpus, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bare").write_text("not a picture")
    report = check(corpus(("bare", "一只狗"), ("lost", "一只猫")), images=open_images(str(tmp_path / "images")))
    assert [place["image"] for place in report["findings"]["unreadable_image"]["first"]] == ["bare"]
    assert [place["image"] for place in report["findings"]["missing_image"]["first"]] == ["lost"]


def test_a_location_that_is_not_there(corpus, tmp_path):
    table = corpus(("1.png", "一只狗"))
    with pytest.raises(ImageError, match="nowhere"):
        check(table, images=open_images(str(tmp_path / "nowhere")))


def test_what_is_there_and_cannot_be_read_is_not_missing(corpus, tmp_path):
    folder = tmp_path / "images"
    save(folder / "good.png")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "t.tsv").write_bytes(b"empty\t\ntext\t*no*\n")
    names = ["good.png", "folder.jpg", "pipe.jpg", "loop.jpg", "t.tsv/empty", "t.tsv/text", "t.tsv/gone", "gone.jpg"]
    table = corpus(*((name, f"第{n}只狗") for n, name in enumerate(names)))
    first = {kind: about["first"] for kind, about in check(table, images=open_images(str(folder)))["findings"].items()}
    reasons = {place["image"]: place["detail"] for place in first["unreadable_image"]}
    assert list(reasons) == names[1:6]
    wanted = ["is a folder, not a file", "is not a file", "symbolic links", "0 bytes", "no base64"]
    assert [text in reasons[name] for name, text in zip(names[1:6], wanted, strict=True)] == [True] * 5, reasons
    lost = {place["image"]: place["detail"] for place in first["missing_image"]}
    assert list(lost) == names[6:]
    assert "no row with the id 'gone'" in lost["t.tsv/gone"]
    assert lost["gone.jpg"] == "1 captions; cannot be read: No such file or directory."


def test_what_was_passed_over_among_the_images(corpus, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    save(folder / "good.png")
    (folder / "closed").mkdir()
    pixels = base64.b64encode((folder / "good.png").read_bytes())
    (folder / "t.tsv").write_bytes(b"1\t" + pixels + b"\nno tab\n\n1\t" + pixels + b"\n")
    usual = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return usual(path)

    table = corpus(("good.png", "一只狗"), ("t.tsv/1", "一只猫"))
    monkeypatch.setattr(os, "scandir", refuse)
    report = check(table, images=open_images(str(folder)))
    source = str(folder / "t.tsv")
    first = {kind: about["first"] for kind, about in report["findings"].items()}
    assert first["unlisted_folder"] == [{"image": "closed", "detail": "Permission denied"}]
    assert first["malformed_row"] == [{"source": source, "line": 2}]
    assert first["repeated_id"] == [{"source": source, "line": 4, "image": "1"}]
    assert report["findings"]["repeated_id"]["of"] == 3
    assert {"unlisted_folder", "malformed_row"} <= set(report["verdict"]["problems"])
    assert "t.tsv:4  1" in format_report(report)


def test_an_empty_table_and_words_of_another(corpus):
    table = corpus(("1.png", "一只狗"))
    with pytest.raises(CorpusError, match="no captions"):
        check(table.iloc[:0])
    with pytest.raises(ValueError, match="2 captions for a table of 1"):
        check(table, words=WordLists.from_lists([["a"], ["b"]]))


def test_lists_are_cut_in_the_report_and_whole_in_the_csv(corpus):
    table = corpus(*((f"{n}.jpg", f"a dog {n}") for n in range(LISTED + 7)), ("x.jpg", '狗说"汪，汪"'))
    findings = Findings()
    report = check(table, findings=findings)
    about = report["findings"]["wrong_script"]
    assert (about["count"], len(about["first"])) == (LISTED + 7, LISTED)
    assert f"and {LISTED + 4} more" in format_report(report)
    rows = list(csv.DictReader(io.StringIO(findings.to_csv())))
    assert list(rows[0]) == ["kind", "level", *COLUMNS]
    wrong = [row for row in rows if row["kind"] == "wrong_script"]
    assert [row["image"] for row in wrong] == [f"{n}.jpg" for n in range(LISTED + 7)]
    assert wrong[3] | {"source": ""} == {
        "kind": "wrong_script", "level": "problem", "image": "3.jpg", "split": "train", "source": "", "line": "5",
        "caption": "a dog 3", "detail": "",
    }  # fmt: skip
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in {row["kind"] for row in rows}}
    assert counts == found(report)


def test_the_same_corpus_gives_the_same_report(corpus, pictures):
    table, images = corpus(*pictures.rows), open_images(str(pictures.folder))
    assert json.dumps(check(table, images=images)) == json.dumps(check(table, images=images))


def test_categories_do_as_columns(corpus, pictures):
    table, images = corpus(*pictures.rows), open_images(str(pictures.folder))
    plain, lists = check(table, images=images), Findings()
    categories = table.astype(dict.fromkeys(["split", "origin", "source"], "category"))
    report = check(categories, images=images, findings=lists)
    assert report == plain
    assert "leak_val.png" in lists.to_csv()


def test_the_figure(corpus):
    rows = [(f"{n}.jpg", "a dog " + "runs " * (n % 5), ["train", "val"][n % 7 == 0]) for n in range(60)]
    report = check(corpus(*rows), "en", model_max_length=8)
    figure = corpus_figure(report)
    lengths, vocabulary, shares = figure.axes
    assert lengths.get_xlabel() == "words in a caption"
    assert [patch.get_height() for patch in lengths.patches] == [12] * 5
    assert "the model keeps 7 words" in [text.get_text() for text in lengths.get_legend().get_texts()]
    assert vocabulary.get_xscale() == "log"
    labels = [text.get_text() for text in vocabulary.get_legend().get_texts()]
    assert labels == [
        "known words (left)", "unknown in train (right)", "unknown in val (right)", "text.min_frequency = 4"
    ]  # fmt: skip
    known, train, _ = vocabulary.lines[0], *shares.lines
    assert known.get_ydata()[0] == 3
    assert train.get_ydata()[-1] == report["vocabulary"]["by_min_frequency"][-1]["unknown_share"]["train"]


@pytest.mark.parametrize("captions", [["。"], ["狗"], ["狗 " * 3000, *["一只狗在跑"] * 99]])
def test_odd_corpora_have_a_report_and_a_figure(corpus, captions):
    report = check(corpus(*((f"{n}.jpg", caption) for n, caption in enumerate(captions))))
    assert f"{len(captions)} images with {len(captions)} captions" in format_report(report)
    figure = corpus_figure(report)
    figure.savefig(io.BytesIO(), format="png")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert ("1 captions of more than 12 words not shown" in labels) == (len(captions) > 1)
    assert not [label for label in labels if "keeps" in label]


def test_bars_of_a_histogram(corpus):
    words = WordLists.from_lists([["w"] * n for n in [3] * 80 + [4] * 40 + [5] + [300]])
    lines = format_report(check(corpus(*((f"{n}.jpg", "一只狗") for n in range(122))), words=words)).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("  words: 3 to 300"))
    rows = [line.split() for line in lines[start + 1 : start + 8]]
    assert rows[:3] == [["3", "80", "█" * 40], ["4", "40", "█" * 20], ["5", "1", "▏"]]
    assert rows[-1] == ["9", "and", "more", "1", "▏"]
    words = WordLists.from_lists([["w"] * n for n in range(1, 123)])
    lines = format_report(check(corpus(*((f"{n}.jpg", "一只狗") for n in range(122))), words=words)).splitlines()
    assert [line.split()[:2] for line in lines if "█" in line][:2] == [["0-9", "9"], ["10-19", "10"]]


@pytest.fixture
def files(corpus, pictures, tmp_path):
    corpus(*pictures.rows)
    return SimpleNamespace(captions=str(tmp_path / "captions.csv"), images=str(pictures.folder), folder=tmp_path)


def test_check_from_the_command_line(files, capsys):
    assert main(["corpus", files.captions, "--check", "--images", files.images]) == 0
    output = capsys.readouterr()
    assert "3 problems to mend before training" in output.out
    assert "images: 100%" in output.err
    assert main(["corpus", files.captions, "--check", "--set", "model.max_length=3"]) == 0
    output = capsys.readouterr().out
    assert "longer than the model keeps" in output
    assert "images were not" in output or "not looked for: anything about the images" in output


def test_json_alone_is_on_the_output(files, capsys):
    command = ["corpus", files.captions, "--check", "--images", files.images, "--json"]
    assert main([*command, "--list", str(files.folder / "found.csv"), "--plot", str(files.folder / "x.PNG")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["captions"]) == (15, 16)
    assert set(report) >= {
        "splits", "origins", "files", "stage_captions", "captions_per_image", "caption_length", "vocabulary", "scripts",
        "findings", "frequent_captions", "checked_images", "verdict", "skipped_reasons", "left_out_images", "language",
    }  # fmt: skip
    with open(files.folder / "found.csv", encoding="utf-8", newline="") as file:
        assert {"image_in_two_splits", "unreadable_image"} <= {row["kind"] for row in csv.DictReader(file)}
    with Image.open(files.folder / "x.PNG") as picture:
        assert picture.format == "PNG" and picture.width > 1000
    assert not list(files.folder.glob(".*"))


def test_without_check_the_command_counts(files, capsys):
    assert main(["corpus", files.captions, "--images", files.images]) == 0
    assert capsys.readouterr().out.startswith("15 images, 16 captions")
    assert main(["corpus", files.captions, "--json"]) == 0
    assert "findings" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plot", "x.png"], "add --check"),
        (["--list", "x.csv"], "add --check"),
        (["--check", "--plot", "x.gif"], ".png or .svg or .pdf, got 'x.gif'"),
        (["--check", "--list", "x.txt"], ".csv, got 'x.txt'"),
        (["--check", "--plot", "no_folder_here/x.png"], "no_folder_here"),
        (["--check", "--images", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_told_before_the_work(files, options, message, capsys, monkeypatch):
    monkeypatch.chdir(files.folder)
    assert main(["corpus", files.captions, *options]) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""


def test_no_readable_image_at_all_is_an_error_after_the_report(files, capsys, tmp_path):
    (tmp_path / "other").mkdir()
    assert main(["corpus", files.captions, "--check", "--images", str(tmp_path / "other")]) == 1
    output = capsys.readouterr()
    assert "15 of 15 images (100.00 %) that captions name and that are not there" in output.out
    assert "None of the images" in output.err


def test_checks_are_light(run_python):
    process = run_python("""
import sys
for name in ("corpus_checks", "caption_problems", "findings", "image_checks", "report"):
    __import__("caption_tx.data.checks." + name)
    heavy = [module for module in ("tensorflow", "keras", "jieba", "matplotlib") if module in sys.modules]
    assert not heavy, (name, heavy)
""")
    assert process.returncode == 0, process.stderr


def test_the_real_corpus(shared):
    folder = shared / "data" / "flickr8k"
    table = read_corpus([folder / "flickr8kzhc.caption.txt", folder / "flickr8kzhb.caption.txt"])
    report = check(table, images=open_images(str(folder / "images")))
    assert (report["images"], report["captions"]) == (7000, 70_000)
    assert report["checked_images"]["read"] == 7000
    assert report["verdict"]["problems"] == []
    assert [place["detail"] for place in report["findings"]["same_image"]["first"]] == [
        "also 3050606344_af711c726c.jpg (train)"
    ]
    assert report["findings"]["machine_in_evaluation"]["count"] == 5000
    assert report["vocabulary"]["by_min_frequency"][3]["min_frequency"] == 4
    assert 0.02 < report["vocabulary"]["unknown_share"]["train"] < 0.03
    assert report["findings"]["other_form"]["count"] == 1
    text = format_report(report)
    assert "No problems found" in text


def test_rules_are_documented():
    for kind in CAPTION_PROBLEMS:
        assert KINDS[kind].unit == "captions"
    assert captions.caption_problems.__doc__
