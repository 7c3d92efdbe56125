"""Values beside captions that say who wrote them: a person, or a machine."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.origins import is_machine

DOG, CAT, GIRL, BOY = "一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞", "一个男孩在踢球"
EXPECTED = [("a.jpg", DOG, "human"), ("a.jpg", GIRL, "machine"), ("b.jpg", CAT, "human"), ("b.jpg", BOY, "machine")]
NOTE = "captions that a machine wrote, as a value beside them says, trained on but never references"
ORIGINS = [
    ("origin", "human", "machine"),
    ("source", "human", "gpt-4o"),
    ("source", "annotator-07", "Qwen/Qwen2-VL-7B-Instruct"),
    ("by", "worker_3", "LLaVA-1.5"),
    ("来源", "人工", "机器翻译"),
    ("is_machine_generated", "false", "true"),
    ("是否机器生成", "否", "是"),
]


def found(table):
    return list(zip(table["image"], table["caption"], table["origin"], strict=True))


def notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(("name", "human", "machine"), ORIGINS)
def test_origins_in_columns_and_keys(write, name, human, machine):
    captions = [("a.jpg", DOG, human), ("a.jpg", GIRL, machine), ("b.jpg", CAT, human), ("b.jpg", BOY, machine)]
    lines = "\n".join([f"image,caption,{name}", *map(",".join, captions)])
    entries = [{"image": image, "caption": text, name: origin} for image, text, origin in captions]
    objects = [
        {
            "image": image,
            "captions": [{"text": text, name: origin} for other, text, origin in captions if other == image],
        }
        for image in ("a.jpg", "b.jpg")
    ]
    for path, content in (("x.csv", lines), ("x.json", entries), ("y.json", objects)):
        table = read_corpus(write(path, content))
        assert found(table) == EXPECTED
        assert notes(table) == {NOTE: 2}


def test_lists_share_an_origin(write):
    entries = [
        {"image": "a.jpg", "captions": [DOG, CAT], "source": "human"},
        {"image": "b.jpg", "captions": [GIRL, BOY], "source": "blip-2"},
    ]
    text = f"""image\tcaptions\tsource\na.jpg\t["{DOG}", "{CAT}"]\thuman\nb.jpg\t["{GIRL}", "{BOY}"]\tblip-2\n"""
    for content in (entries, text):
        assert list(read_corpus(write("x.json" if content is entries else "x.tsv", content))["origin"]) == [
            *["human"] * 2,
            *["machine"] * 2,
        ]


def test_a_file_by_a_machine_only_has_references(write):
    path = write("x.csv", f"image,caption,source\na.jpg,{DOG},gpt-4o\nb.jpg,{CAT},gpt-4o\n")
    table = read_corpus(path)
    assert set(table["origin"]) == {"human"}
    assert any(
        text.startswith("captions that a machine wrote, as the file says of all of them") for text in notes(table)
    )
    assert set(read_corpus(f"{path}:origin=machine")["origin"]) == {"machine"}
    assert NOTE not in notes(read_corpus(f"{path}:origin=human"))


@pytest.mark.parametrize("values", [("coco", "flickr"), ("human", "flickr"), ("李雷", "韩梅梅"), ("1", "0")])
def test_other_sources_are_not_read(write, values):
    lines = [f"{at}.jpg,{text},{value}" for at, (text, value) in enumerate(zip((DOG, CAT), values, strict=True))]
    table = read_corpus(write("x.csv", "\n".join(["image,caption,source", *lines])))
    assert set(table["origin"]) == {"human"}
    assert notes(table) == {"columns not read (source)": 1}


def test_values_that_say_nothing():
    assert is_machine("source", "a" + "-a" * 5000) is None
    assert is_machine("source", 7) is is_machine("source", None) is is_machine("caption", "gpt-4") is None
