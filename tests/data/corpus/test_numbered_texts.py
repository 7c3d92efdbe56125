"""Several text files beside an image, and files of metadata beside images."""

import pytest

from caption_tx.data.corpus.readers.sidecars import numbered_stems
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

NOTE = "numbered text files beside images, read as captions of one image (such as {!r} beside {!r})"


def pairs(read):
    return list(zip(read["image"], read["caption"], strict=True))


@pytest.mark.parametrize("pattern", ["{}_{}.txt", "{}.{}.caption", "{}-{}.txt", "{} ({}).txt", "{}.jpg_{}.txt"])
def test_numbered_text_files_are_captions_of_one_image(write, tmp_path, pattern):
    expected = []
    for name in ("beach", "desk"):
        write(f"d/{name}.jpg", b"\xff")
        for number in range(2):
            write(f"d/{pattern.format(name, number)}", f"a red dog {number}\n")
            expected.append((f"{name}.jpg", f"a red dog {number}"))
    read = read_corpus(tmp_path / "d")
    assert pairs(read) == expected
    assert read.attrs["files"][0]["notes"] == {NOTE.format(pattern.format("beach", 0), "beach.jpg"): 4}


def test_numbered_text_files_beside_those_of_the_name(write, tmp_path):
    for name in ("p", "q"):
        write(f"d/{name}.jpg", b"\xff")
        write(f"d/{name}.txt", "a red dog\n")
    write("d/p_2.txt", "a red cat\n")
    read = read_corpus(tmp_path / "d")
    assert pairs(read) == [("p.jpg", "a red dog"), ("p.jpg", "a red cat"), ("q.jpg", "a red dog")]
    assert list(read.attrs["files"][0]["notes"].values()) == [1]


def test_texts_of_missing_images_are_not_those_of_others():
    texts = {"dog_2.txt": "dog_2"}
    assert numbered_stems(texts, {"dog": ["dog.jpg"]}) == {"dog_2.txt": "dog"}
    assert numbered_stems(texts, {"dog": ["dog.jpg"], "dog_1": ["dog_1.jpg"]}) == {}
    others = {name: [f"{name}.jpg"] for name in ("cat", "cow", "owl", "dog")}
    assert numbered_stems(texts | {f"{name}.txt": name for name in others}, others) == {}


def test_files_of_metadata_are_named(write, tmp_path):
    for number in range(2):
        write(f"d/{number}.jpg", b"\xff")
        write(f"d/{number}.xmp", "<x:xmpmeta/>")
    with pytest.raises(CorpusError, match=r"2 images have an \.xmp file of metadata \(such as 0\.xmp\).*exiftool -csv"):
        read_corpus(tmp_path / "d")
