"""The corpus report as text."""

import re

import pytest

from caption_tx.data.checks.findings import MAX_LISTED
from caption_tx.data.checks.terminal import WIDTH, display_width, format_percent, pad_or_truncate
from caption_tx.data.checks.text_report import format_report
from caption_tx.data.images.sources import open_images


def test_sections_and_lines_of_the_report(corpus, check, images):
    table = corpus(*images.rows)
    report = check(table, images=open_images(str(images.folder)))
    text = format_report(report)
    lines = text.splitlines()
    assert [line for line in lines if display_width(line) > WIDTH + 4 and str(images.folder) not in line] == []
    assert [line for line in lines if line != line.rstrip()] == []
    sections = [line for line in lines if line and not line.startswith(" ")]
    assert sections == [
        "CORPUS", "SOURCES", "CAPTION LENGTH", "VOCABULARY", "IMAGES", "PROBLEMS", "WARNINGS", "SUMMARY"
    ]  # fmt: skip
    assert "15 images with 16 captions in Chinese" in text
    assert "1 of 10 distinct images" not in text  # copies count once
    assert "1 of 7 distinct images (14.29%) under different names in different splits (leakage" in text
    assert "also leak_val.png (val), leak_test.png (test)" in text
    assert "captions.csv:14  missing.png  2 captions" in text
    assert "3 problems to fix before training" in text
    assert "10 decoded, 1 missing, 4 unreadable; 2 more images have no captions" in text
    assert re.search(r"captions\.csv:11  empty\.jpg +is empty \(0 bytes\)\.", text)
    summary = text[text.index("SUMMARY") :]
    assert "checked and not found: empty split, malformed line, " in summary
    text = format_report(check(table))
    assert "not checked; name their folder with images (--images)" in text
    assert "No problems found" in text
    assert "PROBLEMS" not in text


def test_columns_are_aligned_with_wide_characters(corpus, check):
    rows = [(f"{n}.jpg", caption) for n, caption in enumerate(["一只狗在跑", "一只狗在跑", "dog runs", "dog runs"])]
    lines = format_report(check(corpus(*rows))).splitlines()
    start = lines.index("MOST FREQUENT CAPTIONS")
    widths = [display_width(line[: line.index(" times")]) for line in lines[start + 1 : start + 3]]
    assert widths[0] == widths[1]
    assert display_width("狗a\u0301👩\u200d") == 5


def test_histograms(corpus, check):
    lists = [["w"] * n for n in [3] * 80 + [4] * 40 + [5] + [300]]
    lines = format_report(check(corpus(*((f"{n}.jpg", "一只狗") for n in range(122))), lists=lists)).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("  words: 3 to 300"))
    rows = [line.split() for line in lines[start + 1 : start + 8]]
    assert rows[:3] == [["3", "80", "█" * 40], ["4", "40", "█" * 20], ["5", "1", "▏"]]
    assert rows[-1] == ["9", "and", "more", "1", "▏"]
    lists = [["w"] * n for n in range(1, 123)]
    lines = format_report(check(corpus(*((f"{n}.jpg", "一只狗") for n in range(122))), lists=lists)).splitlines()
    assert [line.split()[:2] for line in lines if "█" in line][:2] == [["0-9", "9"], ["10-19", "10"]]


def test_text_is_padded_or_truncated_to_columns():
    assert pad_or_truncate("狗a", 5) == "狗a  "
    assert pad_or_truncate("狗狗狗", 5) == "狗狗…"


@pytest.mark.parametrize(("share", "text"), [(0, "0.0%"), (0.0004, "< 0.1%"), (0.001, "0.1%"), (1, "100.0%")])
def test_percentages(share, text):
    assert format_percent(share) == text


def test_long_lists_are_cut(corpus, check):
    table = corpus(*((f"{n}.jpg", f"a dog {n}") for n in range(MAX_LISTED + 7)))
    assert f"and {MAX_LISTED + 4} more" in format_report(check(table))
