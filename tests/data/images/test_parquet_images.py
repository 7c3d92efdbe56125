"""Parquet files with images as bytes."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.images.discovery import find_images
from caption_tx.data.images.parquet_images import ImageParquet
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CorpusError, ImageError, MissingImageError


def make_image(gray: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (17, 13), (gray, gray, gray)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [make_image(gray) for gray in (10, 20, 30)]


@pytest.fixture
def write_parquet(tmp_path):
    def write(columns, name="train.parquet", rows_per_group=2):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), tmp_path / name, row_group_size=rows_per_group)
        return tmp_path / name

    return write


def embedded(paths, images=IMAGES):
    return [{"bytes": data, "path": path} for data, path in zip(images, paths, strict=True)]


def grays(location, names) -> list[int]:
    images = open_images(str(location))
    return [int(images.read_image(name, 8)[1][3, 3, 0]) for name in names]


@pytest.mark.parametrize(
    ("image", "names"),
    [
        (embedded(["a.png", "b.png", "c.png"]), ["a.png", "b.png", "c.png"]),
        (embedded([None, "", "c.png"]), ["row 1", "row 2", "c.png"]),
        (embedded(["image.png"] * 3), ["row 1", "row 2", "row 3"]),  # one path, three images
        (embedded(["a.png", "a.png", "b.png"], [IMAGES[0], IMAGES[0], IMAGES[2]]), ["a.png", "a.png", "b.png"]),
        ([{"bytes": data} for data in IMAGES], ["row 1", "row 2", "row 3"]),
        (IMAGES, ["row 1", "row 2", "row 3"]),
        ([[item] for item in embedded(["a.png", None, "c.png"])], ["a.png", "row 2", "c.png"]),
        ([[{"bytes": data}] for data in IMAGES], ["row 1", "row 2", "row 3"]),
    ],
    ids=["paths", "some paths", "one path", "repeated image", "no paths", "bytes", "lists", "lists of bytes"],
)
@pytest.mark.parametrize("column", ["image", "jpg"])
def test_captions_and_images_of_one_file_agree(write_parquet, tmp_path, image, names, column):
    path = write_parquet({"caption": ["一只狗", "两只狗", "三只狗"], column: image})
    expected = [10, 10, 30] if names[0] == names[1] else [10, 20, 30]
    assert list(read_corpus(path, images=path).image) == names
    assert grays(path, names) == expected
    below = list(read_corpus(path, images=tmp_path).image)  # the file is in the image folder
    assert below == [f"train.parquet/{name}" for name in names]
    assert grays(tmp_path, below) == expected
    notes = read_corpus(path, images=tmp_path).attrs["files"][0]["notes"]
    assert list(notes) == ["images split by the seed, ignoring 'train' in the file name"]


def test_rows_are_images_of_caption_and_explain(write_parquet):
    path = write_parquet({"image": embedded(["a.png", None, "c.png"])})
    names = list(find_images([path]))
    assert names == [f"{path}/a.png", f"{path}/row 2", f"{path}/c.png"]
    assert grays("", names) == [10, 20, 30]


def test_columns_with_ids_name_images_too(write_parquet):
    columns = {"image_id": [7, 8, 9], "image": embedded([None] * 3), "text": ["x", "y", "z"]}
    path = write_parquet(columns)
    table = read_corpus(path, images=path)
    assert list(table.image) == ["7", "8", "9"]
    assert grays(path, table.image) == [10, 20, 30]


def test_several_images_in_a_row_are_an_error(write_parquet):
    path = write_parquet({"images": [embedded(["a.png", "b.png"], IMAGES[:2])], "caption": ["一只狗"]})
    with pytest.raises(CorpusError, match="1 rows have several images in the column 'images'; write one image per row"):
        read_corpus(path)


@pytest.mark.parametrize("paths", [["a.png", "b.png", "c.png"], [None] * 3])
def test_masks_are_no_images_and_equal_columns_are_an_error(write_parquet, tmp_path, paths):
    others, captions = embedded(paths, [make_image(gray) for gray in (1, 2, 3)]), ["一只狗", "两只狗", "三只狗"]
    for other, name in (("mask", "photo"), ("thumbnail", "image"), ("conditioning_image", "image"), ("target", "img")):
        path = write_parquet({other: others, name: embedded(paths), "caption": captions})
        table = read_corpus(path, images=path)
        assert grays(path, table.image) == [10, 20, 30]
        notes = table.attrs["files"][0]["notes"]
        assert [note for note in notes if "not read" in note] == [f"columns not read ({other})"]
    path = write_parquet({"image_before": embedded(paths), "image_after": others, "caption": captions})
    with pytest.raises(CorpusError, match=r"2 columns hold images: image_before, image_after; choose with image_col"):
        read_corpus(path)
    for column, expected in (("image_before", [10, 20, 30]), ("image_after", [1, 2, 3])):
        table = read_corpus(path, images=path, image_column=column)
        assert grays(path, table.image) == expected
        assert grays(tmp_path, read_corpus(path, images=tmp_path, image_column=column).image) == expected
        [unread] = {"image_before", "image_after"} - {column}
        assert f"columns not read ({unread})" in table.attrs["files"][0]["notes"]


def test_files_of_img2dataset(write_parquet):
    urls = [f"https://example.org/{number}.jpg" for number in range(3)]
    columns = {
        "jpg": IMAGES,
        "caption": ["一只狗", "两只狗", "三只狗"],
        "key": ["000", "001", "002"],
        "width": [1, 2, 3],
    }
    for names in ({"url": urls}, {}):
        path = write_parquet(columns | names)
        assert grays(path, read_corpus(path, images=path).image) == [10, 20, 30]


def test_ids_that_pandas_turned_into_floats(tmp_path):
    path = tmp_path / "float.parquet"
    pd.DataFrame({"image": [1.0, 2.0, 3.0], "caption": ["一只狗"] * 3}).to_parquet(path)
    assert list(read_corpus(path).image) == ["1", "2", "3"]
    pd.DataFrame({"id": [1.0, 2.0, 3.0], "caption": ["一只狗"] * 3}).to_parquet(path)
    table = read_corpus(path)
    assert list(table.image) == ["1", "2", "3"]
    assert table.attrs["files"][0]["notes"] == {"image names read from the column 'id'": 1}


def test_errors_name_the_type_the_row_and_what_to_do(write_parquet, monkeypatch):
    with pytest.raises(ImageError, match=r"no column of images: .* found image \(double\), caption \(string\)\."):
        ImageParquet(str(write_parquet({"image": [1.5], "caption": ["x"]}))).names()
    images = open_images(str(write_parquet({"image": embedded(["a.png", "b.png", "c.png"], [b"", None, b"x"])})))
    for name, message in [("a.png", "row 1 has no bytes"), ("b.png", "row 2 has no"), ("c.png", "not an image of a")]:
        with pytest.raises(ImageError, match=message):
            images.read_image(name, 8)
    with pytest.raises(MissingImageError, match=r"train\.parquet has no image 'd\.png'"):
        images.read_bytes("d.png")
    monkeypatch.setattr("caption_tx.data.images.parquet_images._MAX_GROUP_BYTES", 10)
    with pytest.raises(ImageError, match=r"row group 0 has .*row_group_size=100"):
        open_images(images.location).read_bytes("a.png")


def test_a_damaged_file_is_an_image_error(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(ImageError, match=r"x\.parquet is not a readable Parquet file"):
        open_images(str(tmp_path / "x.parquet")).read_bytes("a")
    with pytest.raises(MissingImageError, match="No such file"):
        open_images(str(tmp_path / "gone.parquet")).read_bytes("a")
