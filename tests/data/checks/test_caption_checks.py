"""Checks of all captions: skipped lines, unsuitable text, mixed scripts, duplicates and machine translations."""

import sys

import pytest

from caption_tx.config import CAPTION_PROBLEMS
from caption_tx.data.checks.caption_problems import han_forms
from caption_tx.data.checks.text_report import format_report


def test_a_caption_counts_for_each_of_its_problems(corpus, check, counts_by_kind):
    report = check(corpus(("a.jpg", "<b>一只狗http://x.org"), ("b.jpg", "一只猫"), ("b.jpg", "一只猫", "train")))
    counts = {kind: count for kind, count in counts_by_kind(report).items() if kind in CAPTION_PROBLEMS}
    assert counts == {"html": 1, "url": 1}


def test_each_problem_is_reported_with_its_line(corpus, check):
    examples = {
        "no_letters": ["🐶🐱", "。。。"],
        "placeholder": ["未知", "无。"],
        "damaged_text": ["锟斤拷锟斤拷"],
        "html": ["<b>一只狗在跑", "{{cn}}一只狗在跑"],
        "url": ["一只狗www.taobao.com"],
        "email": ["问jo@example.org要这只狗"],
        "file_name": ["微信图片_20210304"],
        "hashtag": ["今天的狗#狗狗日常#"],
        "repetition": ["哈哈哈哈哈", "一只狗一只狗一只狗"],
        "tag_list": ["天空，大海，沙滩"],
        "kana_or_hangul": ["犬が走っている"],
        "wrong_script": ["a dog runs", "собака бежит"],
    }
    assert set(examples) == set(CAPTION_PROBLEMS)
    captions = [caption for captions in examples.values() for caption in captions]
    table = corpus(("a.jpg", "一只狗在跑。"), *((f"{n}.jpg", caption) for n, caption in enumerate(captions)))
    report = check(table)
    for problem, expected in examples.items():
        about = report["findings"][problem]
        assert about["count"] == len(expected)
        assert [example["caption"] for example in about["examples"]] == expected
        # Line 1 is the header and line 2 the ordinary caption.
        assert [example["line"] for example in about["examples"]] == [captions.index(text) + 3 for text in expected]
        assert {example["source"] for example in about["examples"]} == {table["source"].iloc[0]}
        assert about["total"] == len(table)
        assert about["share"] == pytest.approx(len(expected) / len(table), abs=1e-6)


def test_warnings_about_captions(corpus, check, counts_by_kind):
    table = corpus(
        ("a.jpg", "一只狗在ＡＢＣ跑"),
        ("a.jpg", "一只\ue001狗在\ue000跑"),
        ("b.jpg", "狗。"),
        ("b.jpg", "狗" + "在草地上跑" * 2 + "一个女人看着它们和三个男人"),
        ("c.jpg", "一只狗在跑"),
        ("c.jpg", "一只狗在跑"),
        ("d.jpg", "2021 12"),
    )
    report = check(table, max_length=10, text={"drop_words_with_digits": True})
    counts = {"full_width": 1, "control_characters": 1, "one_word": 1, "too_long": 1, "duplicate_caption": 1}
    assert counts_by_kind(report) == counts | {"no_letters": 1, "empty_split": 1}
    assert report["findings"]["control_characters"]["examples"][0]["detail"] == "U+E001 U+E000"
    assert "U+E001 U+E000  一只?狗在?跑" in format_report(report)
    assert report["findings"]["too_long"]["examples"][0]["detail"].endswith(" words")
    assert report["findings"]["duplicate_caption"]["examples"][0]["line"] == 7
    assert "full_width" not in counts_by_kind(check(table, text={"nfkc": True}))
    # START takes one position, so nine words fit into ten.
    lists = [["w"] * n for n in (9, 10, 1, 2, 3, 4, 0)]
    report = check(table, max_length=10, lists=lists)
    assert [example["detail"] for example in report["findings"]["too_long"]["examples"]] == ["10 words"]
    assert report["findings"]["no_words"]["count"] == 0  # already counted as no_letters
    lists = [["w"] * n for n in (9, 9, 9, 0, 3, 4, 0)]
    assert check(table, lists=lists)["findings"]["no_words"]["count"] == 1


def test_captions_that_an_export_cut_off_are_a_problem(corpus, check, counts_by_kind):
    table = corpus(
        *((f"{n}.jpg", f"{text}...") for n, text in enumerate(("一只棕色的狗", "两个男人在路", "一个女孩在沙")))
    )
    report = check(table)
    assert counts_by_kind(report)["truncated_caption"] == 3
    assert report["findings"]["truncated_caption"]["level"] == "problem"
    assert "captions that end with '...' after 9 characters, as if cut off" in format_report(report)


def test_few_unsuitable_captions_are_a_warning_and_many_a_problem(corpus, check):
    rows = [(f"{n}.jpg", f"第{n}只狗在跑") for n in range(198)]
    table = corpus(*rows, ("x.jpg", "a dog"), ("y.jpg", "a cat"), name="few.csv")
    assert check(table)["findings"]["wrong_script"]["level"] == "warning"
    assert "wrong_script" in check(table)["summary"]["warnings"]
    table = corpus(*rows, ("x.jpg", "a dog"), ("y.jpg", "a cat"), ("z.jpg", "a bird"), name="many.csv")
    assert check(table)["findings"]["wrong_script"]["level"] == "problem"
    assert check(table)["summary"]["problems"] == ["wrong_script"]


def test_simplified_and_traditional_captions(corpus, check, monkeypatch):
    table = corpus(
        ("a.jpg", "一个骑马的男人"), ("b.jpg", "两条裤子"), ("c.jpg", "一條褲子"), ("d.jpg", "騎马"), ("e.jpg", "人")
    )
    report = check(table)
    assert report["scripts"] == {"simplified": 2, "traditional": 1, "both": 1, "either": 1}
    assert [(example["line"], example["detail"]) for example in report["findings"]["mixed_scripts"]["examples"]] == [
        (4, "條褲"),
        (5, "騎"),
    ]
    assert "2 simplified, 1 traditional, 1 mixed, 1 the same in both" in format_report(report)
    converted = check(table, text={"script": "simplified"})
    assert "mixed_scripts" not in converted["findings"]
    assert check(table, "en")["scripts"] is None
    monkeypatch.setitem(sys.modules, "opencc", None)
    han_forms.cache_clear()
    report = check(table)
    han_forms.cache_clear()
    assert report["scripts"] is None
    assert "mixed_scripts" not in report["findings"]
    assert "pip install 'caption_tx[opencc]'" in format_report(report)


def test_captions_of_several_images(corpus, check):
    table = corpus(
        *(("a.jpg", caption) for caption in ("一只狗", "一只猫", "一只猫")),
        *(("b.jpg", caption) for caption in ("一只猫", "一只狗")),
        *(("c.jpg", caption) for caption in ("一只狗", "一只鸟")),
        ("d.jpg", "一只狗"),
        ("e.jpg", "一只狗"),
    )
    report = check(table)
    same = report["findings"]["identical_captions"]
    assert [(example["image"], example["detail"]) for example in same["examples"]] == [("b.jpg", "same as a.jpg")]
    assert same["total"] == 5
    assert report["frequent_captions"] == [
        {"caption": "一只狗", "count": 5, "images": 5},
        {"caption": "一只猫", "count": 3, "images": 2},
    ]
    assert [example["detail"] for example in report["findings"]["frequent_caption"]["examples"]] == [
        "5 times",
        "3 times",
    ]
    assert report["findings"]["frequent_caption"]["level"] == "warning"


def test_rows_that_are_no_captions_are_no_problems(corpus, check, counts_by_kind):
    table = corpus(("a.jpg", "一只狗"), ("b.jpg", "一只猫", "val"))
    table.attrs["skipped"] = [("x.csv", 2, "a second header"), ("x.csv", 5, "no image name and no caption")]
    counts = counts_by_kind(check(table))
    assert (counts["blank_line"], counts["empty_caption"]) == (1, 1) and "malformed_line" not in counts


def test_skipped_lines(corpus, check):
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
    levels = {
        kind: report["findings"][kind]["level"]
        for kind in ("malformed_line", "empty_caption", "blank_line", "left_out_image")
    }
    assert levels == {
        "malformed_line": "problem", "empty_caption": "warning", "blank_line": "info", "left_out_image": "info"
    }  # fmt: skip
    assert report["findings"]["malformed_line"]["examples"] == [
        {"source": "x.csv", "line": 5, "detail": "unknown split"}
    ]
    text = format_report(report)
    assert "1 of 6 lines (16.67%) that cannot be read and are skipped" in text
    assert "x.csv:5  unknown split" in text


def test_machine_translations_are_not_references(corpus, check):
    table = corpus(
        ("a.jpg", "一只狗"), ("b.jpg", "一只猫", "val"), ("b.jpg", "两只猫", "val"), ("c.jpg", "一只鸟", "val"),
        ("d.jpg", "一只鸭", "test"),
    ).assign(origin=["machine", "human", "machine", "machine", "human"])  # fmt: skip
    report = check(table)
    assert report["findings"]["machine_in_evaluation"]["count"] == 2
    assert report["findings"]["machine_in_evaluation"]["total"] == 4
    without = report["findings"]["image_without_reference"]
    assert (without["count"], without["total"], without["level"]) == (1, 3, "warning")
    assert without["examples"][0]["image"] == "c.jpg"
    assert report["splits"]["val"] == {"images": 2, "captions": 3, "machine_captions": 2}
    assert report["origins"] == {"human": 2, "machine": 3}
    report = check(table.assign(origin="machine"))
    assert "image_without_reference" in report["summary"]["problems"]
