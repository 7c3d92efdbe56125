"""OFA's TSV: captions beside images in base64."""

import base64
import io

import pytest
from PIL import Image

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CorpusError

PHOTO = io.BytesIO()
Image.effect_noise((64, 64), 90).save(PHOTO, "png")
ENCODED = base64.b64encode(PHOTO.getvalue()).decode()


def test_base64_that_is_wrapped_is_part_of_the_row_before(write):
    rows = ""
    for number in range(3):
        image = base64.encodebytes(bytes([number]) * 3000).decode()  # lines of 76 letters
        rows += f"{number}\tid{number}\t一只狗&&两只狗\t\t{image}"
    table = read_corpus(write("wrapped.tsv", rows))
    (file,) = table.attrs["files"]
    assert file["format"] == "ofa"
    assert list(table.image) == ["id0", "id0", "id1", "id1", "id2", "id2"]
    assert table.attrs["skipped"] == []
    assert list(file["notes"]) == ["lines of wrapped base64, which belong to the image before"]


@pytest.mark.parametrize(
    "columns",
    [
        ("{id}", "{caption}"),
        ("7{id}", "{id}", "{caption}"),
        ("{id}", "{caption}", "dog&&grass"),
        ("7{id}", "{id}", "{caption}", "dog&&grass"),
    ],
)
@pytest.mark.parametrize("image", ["plain", "quoted", "quoted and wrapped", "data URI"])
def test_other_columns_before_the_image(write, columns, image):
    wrapped = "\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76))
    cell = {
        "plain": ENCODED,
        "quoted": f'"{ENCODED}"',
        "quoted and wrapped": f'"{wrapped}"',
        "data URI": f"data:image/png;base64,{ENCODED}",
    }[image]
    lines = [
        "\t".join([*(column.format(id=name, caption=caption) for column in columns), cell]) + "\n"
        for name, caption in (("im1", "一只狗在草地上跑"), ("im2", "两只猫&&两只小猫"))
    ]
    path = write("x.tsv", "".join(lines))
    table = read_corpus(path, images=path)
    assert table.attrs["files"][0]["format"] == "ofa"
    assert list(zip(table.image, table.caption, strict=True)) == [
        ("im1", "一只狗在草地上跑"),
        ("im2", "两只猫"),
        ("im2", "两只小猫"),
    ]
    assert all(open_images(str(path)).read_bytes(name) == PHOTO.getvalue() for name in ("im1", "im2"))


def test_images_without_captions_are_named(write):
    path = write("x.tsv", f"1\t{ENCODED}\n2\t{ENCODED}\n")
    with pytest.raises(CorpusError, match=r"x\.tsv has images in base64, but no captions .*--images"):
        read_corpus(path)
