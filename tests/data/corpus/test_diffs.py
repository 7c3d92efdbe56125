"""Diffs of caption files and user dictionaries are errors that name the changed file; lines like theirs are not."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.text.user_dictionary import read_user_dictionary
from caption_tx.errors import ConfigError, CorpusError

HEAD = "--- a/c.csv\n+++ b/c.csv\n@@ -1,5 +1,5 @@\n"
UNIFIED = HEAD + " image,caption\n-1.png,一只黄狗\n+1.png,一只黄狗在草地\n 2.png,两个小孩\n"
DIFFS = {
    "git": "diff --git a/c.csv b/c.csv\nindex 3f1..9a2 100644\n" + UNIFIED,
    "show": "commit 0a1b2c3d\nAuthor: Li\n\n    Correct captions\n\ndiff --git a/c.csv b/c.csv\n" + UNIFIED,
    "unified": UNIFIED,
    "windows": UNIFIED.replace("\n", "\r\n"),
    "first column": UNIFIED.replace("image,caption", "caption,image").replace("1.png,一只黄狗", "一只黄狗,1.png"),
    "times": UNIFIED.replace("b/c.csv", "c.csv\t2026-01-02 10:00:00.000000000 +0800"),
    "recursive": "diff -r old/c.csv new/c.csv\n2c2\n< 1.png,一只黄狗\n---\n> 1.png,一只黄狗在草地\n",
    "context": "*** old.csv\t2026-01-01\n--- c.csv\t2026-01-02\n***************\n*** 1,3 ****\n  image,caption\n"
    "! 1.png,一只黄狗\n--- 1,3 ----\n  image,caption\n! 1.png,一只黄狗在草地\n",
}


@pytest.mark.parametrize("kind", DIFFS)
@pytest.mark.parametrize("name", ["captions.csv", "captions.txt", "captions.diff"])
def test_a_diff_is_an_error_that_names_the_changed_file(write, kind, name):
    message = (
        rf"{name} is a diff, not the file itself; give the file that it changes \((?:new/)?c\.csv\), after `git apply`"
    )
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(name, DIFFS[kind].encode()))


def test_a_diff_without_names(write):
    text = "2c2\n< 1.png,一只黄狗\n---\n> 1.png,一只黄狗在草地\n"
    with pytest.raises(CorpusError, match=r"is a diff, not the file itself; give the file that it changes, after"):
        read_corpus(write("x.csv", text))


def test_a_folder(write, tmp_path):
    write("captions.csv", DIFFS["first column"])
    with pytest.raises(CorpusError, match=r"captions\.csv is a diff"):
        read_corpus(tmp_path)


def test_user_dictionaries(write):
    text = "--- a/words.txt\n+++ b/words.txt\n@@ -1,2 +1,3 @@\n 红色T恤\n+机器人\n 图书馆\n"
    with pytest.raises(ConfigError, match=r"x\.txt is a diff, not the file itself; .*\(words\.txt\)"):
        read_user_dictionary(write("x.txt", text))


@pytest.mark.parametrize("start", ["--- 春节照片", "+++ 春节照片 +++", "*** 春节照片 ***", "--- a/c.csv\n+++ b/c.csv"])
def test_other_lines_with_these_signs_are_no_diff(write, start):
    rows = [f"{number}.jpg,一只狗在第{number}条街" for number in range(1, 40)]
    table = read_corpus(write("x.csv", "\n".join([start, "image,caption", *rows])))
    assert table["caption"].tolist() == [row.split(",")[1] for row in rows]


def test_a_range_of_lines_within_a_table_is_no_diff(write):
    rows = [f"{number}.jpg\t一只狗在第{number}条街" for number in range(1, 40)]
    table = read_corpus(write("x.txt", "\n".join([*rows[:3], "@@ -1,5 +1,5 @@", "", *rows[3:]])))
    assert len(table) == len(rows)
