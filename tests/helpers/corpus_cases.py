"""Captions, and what tests of caption files write and read them with."""

import json

from caption_tx.data.corpus.table import read_corpus

DOG, CAT, GIRL = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"
ONE = [("a.jpg", DOG), ("b.jpg", CAT)]
TWO = [("a.jpg", DOG), ("a.jpg", GIRL), ("b.jpg", CAT), ("b.jpg", DOG)]


def jsonl(*entries):
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def rows(table):
    return list(zip(table["image"], table["caption"], strict=True))


def notes(table):
    return table.attrs["files"][0]["notes"]


def assert_read(write, name, content, expected, note):
    """A file with this name and content is read as these rows, with a note that contains this text, or none."""
    read = read_corpus(write(name, content))
    found = notes(read)
    assert rows(read) == expected
    assert any(note in text for text in found) if note else not found, found
    assert all(found.values()), found


def table(first, second):
    return f"image,caption\na.jpg,{first}\nb.jpg,{second}\n"


def batch(answer):
    """Lines of a file of answers, from a function of a caption."""
    return jsonl(*({"custom_id": name, **answer(caption)} for name, caption in ONE))


def below(wrap):
    """Lines of objects below which the captions are, from a function of the captions of an image."""
    return jsonl(
        *({"image": name, **wrap([text for other, text in TWO if other == name])} for name in ("a.jpg", "b.jpg"))
    )
