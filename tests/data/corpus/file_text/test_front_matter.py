"""Front matter in text files beside images."""

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.file_text.front_matter import split_front_matter
from caption_tx.data.corpus.table import read_corpus


def read_folder(write, tmp_path, texts, suffix=".txt", **options):
    for at, text in enumerate(texts):
        write(f"photos/p{at}.jpg", b"\xff")
        write(f"photos/p{at}{suffix}", text)
    table = read_corpus(Source(str(tmp_path / "photos"), **options))
    captions = [tuple(row) for row in table[["image", "caption", "line"]].to_numpy().tolist()]
    return captions, table.attrs["files"][0]["notes"], table.attrs["skipped"]


@pytest.mark.parametrize("suffix", [".txt", ".md"])
@pytest.mark.parametrize(
    "matter",
    [
        "---\ntitle: 第1张\ntags: [动物, 户外]\n---\n",
        "---\ntitle: 第1张\ntags:\n- 动物\n  - 户外\n# a comment\n...\n",
        '\n+++\ntitle = "第1张"\ntags = ["动物"]\n+++\n',
    ],
)
def test_front_matter_is_not_read(write, tmp_path, matter, suffix):
    options = {"text_suffix": suffix} if suffix != ".txt" else {}
    texts = [f"{matter}一只黄狗在草地上奔跑\n近景，女孩抱着一只白猫\n"] * 2
    captions, notes, skipped = read_folder(write, tmp_path, texts, suffix, **options)
    assert [caption for _, caption, _ in captions] == ["一只黄狗在草地上奔跑", "近景，女孩抱着一只白猫"] * 2
    assert captions[0][2] == matter.count("\n") + 1
    assert notes == {"texts with front matter, not read (its keys: title, tags)": 2}
    assert not skipped


@pytest.mark.parametrize(
    ("text", "caption", "line"),
    [
        ("---\ntitle: Photo\ncaption: a dog runs\n---\n", "a dog runs", 3),
        ('---\ndescription: "a dog: it runs"\n---', "a dog: it runs", 2),
        ("---\nalt: >\n  a dog\n  runs\nlicense: CC0\n---\n\n", "a dog runs", 3),
        ("+++\ncaption = 'a dog runs'\n+++\n", "a dog runs", 2),
    ],
)
def test_caption_in_front_matter_without_text_below(write, tmp_path, text, caption, line):
    captions, notes, _ = read_folder(write, tmp_path, [text, "a cat\n"])
    assert captions == [("p0.jpg", caption, line), ("p1.jpg", "a cat", 1)]
    assert [note for note in notes if "of front matter, which has no text below" in note]


def test_front_matter_alone_has_no_caption(write, tmp_path):
    captions, _, skipped = read_folder(write, tmp_path, ["---\ntitle: Photo\n---\n", "a cat\n"])
    assert captions == [("p1.jpg", "a cat", 1)]
    assert [reason for *_, reason in skipped] == ["no caption"]


@pytest.mark.parametrize(
    "text", ["---\na dog\n---\na cat", "---\ntitle: x", "a dog\n---\ntitle: x\n---", "---\n---\na"]
)
def test_other_lines_are_no_front_matter(text):
    lines = list(enumerate(text.split("\n"), 1))
    assert split_front_matter(lines) == ([], lines)
