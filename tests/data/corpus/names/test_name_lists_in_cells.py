"""Several image names or addresses in one cell, which give each image the caption."""

import pytest
from corpus_cases import CAT, DOG

from caption_tx.data.corpus.table import read_corpus


@pytest.mark.parametrize(
    "cell",
    [
        "a.jpg,b.jpg",
        "a.jpg, b.jpg",
        "a.jpg;b.jpg",
        "a.jpg、b.jpg",
        "https://x.com/p/a.jpg,https://x.com/p/b.jpg",
        "https://x.com/p/a.jpg; https://x.com/p/b.jpg",
    ],
)
def test_each_image_gets_the_caption(write, tmp_path, cell):
    for name in ("a", "b", "c"):
        write(f"photos/{name}.jpg", b"\xff")
    table = read_corpus(write("x.csv", f'image,caption\n"{cell}",{DOG}\nc.jpg,{CAT}\n'), images=tmp_path / "photos")
    assert list(zip(table["image"], table["caption"], strict=True)) == [("a.jpg", DOG), ("b.jpg", DOG), ("c.jpg", CAT)]
    notes = table.attrs["files"][0]["notes"]
    assert f"image names that stand for several images, each of which gets the captions (such as {cell!r})" in notes
    assert not any("size" in note or "kept as one" in note for note in notes)
