"""Logs: the entries in their lines, and what is reported about the rest."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, jsonl, notes, rows

from caption_tx.data.corpus.table import read_corpus

DICTS = [str({"image": name, "caption": text}) for name, text in ONE]
AROUND, UNREAD, NAMED = "around their entries", "lines of a log without a caption", "lines of named values"
LISTS = "lists and tuples of a name and captions"


def log(before, entries=DICTS, after=""):
    return "".join(f"{before}{entry}{after}\n" for entry in entries)


CASES = {
    "logging": (log("[2026-01-02 10:11:12] INFO: "), {AROUND: 2}),
    "logging, other lines": (
        f"2026-01-02 10:11:12,345 - captions - INFO - start\n{log('2026-01-02 10:11:13,345 - captions - INFO - ')}",
        {AROUND: 2, UNREAD: 1},
    ),
    "few entries": (
        "".join(log("[INFO] [1700000000.123]: ", [entry, "ok", "wait", "next"]) for entry in DICTS),
        {AROUND: 2, UNREAD: 6},
    ),
    "ROS": (log("[INFO] [1700000000.123]: ", jsonl({"image": "a.jpg", "caption": DOG}).split("\n")[:1])
            + log("[INFO] [1700000001.123]: ", DICTS[1:]), {AROUND: 2}),
    "loguru": (log("2026-01-02 10:11:12.123 | INFO     | __main__:main:12 - "), {AROUND: 2}),
    "absl": (log("I0102 10:11:12.123456 140 main.py:12] "), {AROUND: 2}),
    "syslog": (log("Jan  2 10:11:12 host captions[123]: "), {AROUND: 2}),
    "containers": (log("2026-01-02T10:11:12.123Z stdout F "), {AROUND: 2}),
    "print": (log("result: ", after=" (0.3 s)"), {AROUND: 2}),
    "broken lines": (log("[2026-01-02 10:11:12] INFO: ").replace(", 'caption'", ",\n 'caption'"), {AROUND: 2}),
    "tabs": (log("[2026-01-02 10:11:12] INFO: ", [f"{name}\t{text}" for name, text in ONE]), {AROUND: 2}),
    "colons": (log("2026-01-02 10:11:12 - INFO - ", [f"{name}: {text}" for name, text in ONE]), {AROUND: 2}),
    "no level": (log("2026-01-02 10:11:12 ", [f"{name} {text}" for name, text in ONE]), {AROUND: 2}),
    "logfmt": (log("time=10:11 level=info ", [f'image={name} caption="{text}" n=1' for name, text in ONE]), {NAMED: 2}),
    "words before names": (
        log("[2026-01-02 10:11:12] INFO: processed ", [f"{name} -> {text}" for name, text in ONE])
        + "[2026-01-02 10:11:12] WARNING: slow\n",
        {AROUND: 2, UNREAD: 1},
    ),
    "nested": (
        log("[2026-01-02 10:11:12] INFO: ", [str({"image": name, "out": {"caption": text}}) for name, text in ONE]),
        {AROUND: 2},
    ),
    "tuples": (log("[2026-01-02 10:11:12] INFO: ", map(str, ONE)), {LISTS: 2}),
    "lines of tuples": (log("", map(str, ONE)), {LISTS: 2}),
    "lines of lists": (log("", (f'["{name}", "{text}"]' for name, text in ONE)), {LISTS: 2}),
    "named values": (log("", [f"图片：{name}，描述：{text}" for name, text in ONE]), {NAMED: 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("file", ["x.log", "x.txt"])
def test_log(write, name, file):
    content, wanted = CASES[name]
    table = read_corpus(write(file, content))
    assert rows(table) == ONE
    for text, count in wanted.items():
        assert [value for note, value in notes(table).items() if text in note] == [count], (text, notes(table))


def test_names_with_spaces_in_a_log_are_kept(write):
    table = read_corpus(write("x.log", log("[2026-01-02 10:11:12] INFO: ", [f"my a.jpg -> {DOG}", f"b.jpg -> {CAT}"])))
    assert rows(table) == [("my a.jpg", DOG), ONE[1]]
    table = read_corpus(write("x.txt", f"my a.jpg: {DOG}\nmy b.jpg: {CAT}\n"))
    assert rows(table) == [("my a.jpg", DOG), ("my b.jpg", CAT)] and AROUND not in str(notes(table))


def test_lines_of_a_name_and_a_list(write):
    table = read_corpus(write("x.txt", f"{('a.jpg', [DOG, GIRL])}\n{('b.jpg', [CAT, DOG])}\n"))
    assert rows(table) == TWO and any(LISTS in note for note in notes(table))
    names = read_corpus(write("x.txt", '["a.jpg", "b.jpg"]\n["c.jpg", "d.jpg"]\n'))
    assert LISTS not in str(notes(names))


@pytest.mark.parametrize(
    ("lines", "unread"),
    [
        (("('a.jpg', 'DOG', 'train')", "('b.jpg', 'CAT', 'val')"), ""),
        (('["a.jpg", "DOG", "train", 5]', '["b.jpg", "CAT", "val", 4]'), "keys not read (4)"),
        (("(7, 'a.jpg', 'DOG', 'train')", "(8, 'b.jpg', 'CAT', 'val')"), "keys not read (1)"),
        (("('DOG', 'a.jpg', 'train', None)", "('CAT', 'b.jpg', 'val', 'c.jpg')"), "keys not read (4)"),
    ],
)
def test_lines_of_several_values(write, lines, unread):
    """Splits are no captions, and names are found beside numbers."""
    table = read_corpus(write("x.txt", "\n".join(lines).replace("DOG", DOG).replace("CAT", CAT)))
    assert rows(table) == ONE and list(table["split"]) == ["train", "val"]
    assert any(LISTS in note for note in notes(table)) and unread in str(notes(table))


@pytest.mark.parametrize(
    "content",
    [
        jsonl(*({"image": name, "caption": text} for name, text in ONE)),
        "".join(f"{name}\t{ {'caption': text} }\n" for name, text in ONE),
        "".join(f"{name}\t{ {'caption': text, 'image': name} }\n" for name, text in ONE),
        "".join(f"2026-01-02 10:11:12\t{name}\t{text}\n" for name, text in ONE),
        f"image,caption\na.jpg,{DOG}\nb.jpg,{CAT}\n",
    ],
)
def test_other_files_are_no_logs(write, content):
    table = read_corpus(write("x.txt", content))
    assert rows(table) == ONE
    assert not any("log" in note or NAMED in note for note in notes(table))


def test_line_numbers_are_those_of_the_log(write):
    text = log("[2026-01-02 10:11:12] INFO: ").replace(", 'caption'", ",\n 'caption'")
    assert list(read_corpus(write("x.log", text))["line"]) == [1, 3]
