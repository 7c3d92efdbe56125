"""Tests that exclude most texts before a slower test agree with it."""

import pytest

from caption_tx.data.corpus.readers.tool_exports import read_export
from caption_tx.data.corpus.values import damaged_text, dittos, truncation


@pytest.mark.parametrize(
    "caption",
    [
        "Ditto", "dittos", "idem", "(ibid)", "The same image", "same", '"same as above"', "\x0bsee 0003.jpg",
        "See image 3.png", "as in the previous caption", "refer to above", "identical to row 3", "copy of 0003.jpg",
        "Duplicate of 0003.jpg", "the above", "previous image", "--\"--", "... 〃", "\u2003^^",
        "'", "同上", "ＤＩＴＴＯ",
    ],
)  # fmt: skip
def test_references_to_other_rows_are_found_behind_the_guards(caption):
    assert dittos.is_ditto(caption)


@pytest.mark.parametrize("caption", ["a dog", "a red bus.", "- a dog", "Two men", "asleep", "thesis"])
def test_other_captions_refer_to_no_row(caption):
    assert not dittos.is_ditto(caption)


def test_question_marks_are_damaged_only_where_three_are_all_the_text():
    texts = ["???", " ??? , ??", "really???", "??", "a dog"]
    assert [damaged_text.is_damaged(text) for text in texts] == [True, True, False, False, False]


@pytest.mark.parametrize("mark", ["..", "...", "…", "⋯", "。。。", "(...)", "... (read more)", "…展开全文"])
def test_every_mark_of_cut_captions_is_found(mark):
    captions = [f"a dog runs on the gra{letter}{mark}" for letter in "abcdef"]
    assert truncation.find_truncated([*captions, "a cat"]).rows == list(range(6))


def test_entries_without_the_keys_of_an_export_are_none():
    assert read_export({"image": "a.jpg", "caption": "a dog"}) is None
    assert read_export({"custom_id": "a.jpg", "error": "x"}) is not None
    job = {"source": "s3://a/1.jpg", "job": "a dog", "job-metadata": {"type": "groundtruth/custom"}}
    assert read_export(job)[0] == {"image": "s3://a/1.jpg", "job.caption": "a dog"}
