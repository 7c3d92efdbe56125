"""Files that hold several pictures are found, and those with smaller copies of one picture are not."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from caption_tx.data.images import pages
from caption_tx.data.images.pages import count_pictures, find_several

SIZE = (48, 40)
COLORS = ("red", "green", "blue", "white")


def pictures(number, size=SIZE, mode="RGB"):
    return [Image.new("RGB", size, color).convert(mode) for color in COLORS[:number]]


def encoded(images, kind, **options):
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:]} if len(images) > 1 else {}
    images[0].save(buffer, kind, **more, **options)
    return buffer.getvalue()


def counted(data, limit=10_000):
    return count_pictures(io.BytesIO(data), limit)


@pytest.mark.parametrize(
    ("kind", "unit"), [("TIFF", "pages"), ("GIF", "frames"), ("PNG", "frames"), ("WEBP", "frames"), ("AVIF", "frames")]
)
def test_pages_and_frames_are_counted(kind, unit):
    assert counted(encoded(pictures(4), kind)) == (4, unit)
    assert counted(encoded(pictures(4), kind), limit=2)[0] >= 2
    assert counted(encoded(pictures(1), kind))[0] == 1


def test_stereo_views_are_counted_and_other_pictures_of_a_jpeg_are_not():
    views = encoded(pictures(2), "MPO")
    assert counted(views) == (2, "views")
    assert counted(encoded([pictures(1)[0], Image.new("RGB", (24, 20))], "MPO"))[0] == 1  # a preview
    assert counted(encoded([pictures(1)[0], Image.new("L", SIZE)], "MPO"))[0] == 1  # a depth map
    filler = (b"\xff\xfe" + struct.pack(">H", 60_002) + bytes(60_000)) * 5
    long = views[:2] + filler + views[2:]
    assert counted(long) == (2, "views")
    gain_map = b"\xff\xfe\x00\x20" + b'<rdf hdrgm:Version="1.0">'.ljust(30)
    for data, at in ((views, 2), (long, long.rindex(b"\xff\xd8") + 2)):  # as the first or the second picture says
        assert counted(data[:at] + gain_map + data[at:])[0] == 1
    small = encoded([pictures(1)[0], Image.new("RGB", (24, 20))], "MPO")
    assert counted(with_type(views, 0x010002))[0] == 1  # a preview of the same size
    assert counted(with_type(small, 0x020002)) == (2, "views")


def with_type(mpo, kind):
    """An MPO file whose second picture has another type."""
    entries = mpo.index(struct.pack("<I", 0x030000), mpo.index(b"0100"))
    return mpo[: entries + 16] + struct.pack("<I", kind) + mpo[entries + 20 :]


def test_an_index_behind_a_large_thumbnail_is_found():
    data = encoded(pictures(2), "MPO")
    filler = b"".join(b"\xff\xe1" + struct.pack(">H", 60_002) + bytes(60_000) for _ in range(2))
    assert pages._is_multi_picture(io.BytesIO(data[:2] + filler + data[2:]), (data[:2] + filler)[:4096])
    assert counted(encoded(pictures(1), "JPEG", exif=b"Exif\0\0" + bytes(40_000))) == (1, "")


@pytest.mark.parametrize("kind", [1, 4])
def test_the_levels_of_a_pyramid_and_masks_are_no_pages(kind):
    small = Image.new("RGB", (12, 10))
    small.encoderinfo = {"tiffinfo": {254: kind}}
    data = encoded([*pictures(2), small], "TIFF")
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert counted(data) == (2, "pages")


def test_several_images_of_a_heic_file_are_counted():
    pillow_heif = pytest.importorskip("pillow_heif")
    file, buffer = pillow_heif.from_pillow(pictures(1, (64, 64))[0]), io.BytesIO()
    file.save(buffer)
    assert counted(buffer.getvalue())[0] == 1
    file.add_from_pillow(pictures(2, (64, 64))[1])
    buffer = io.BytesIO()
    file.save(buffer)
    assert counted(buffer.getvalue()) == (2, "images")


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP", "AVIF", "MPO"])
def test_damaged_files_have_one_picture(kind):
    data = encoded(pictures(3), kind)
    for length in (0, 3, 12, 40, len(data) // 2):
        assert counted(data[:length])[0] >= 1
    noise = bytearray(data)
    noise[20:60] = np.random.default_rng(0).bytes(40)
    assert counted(bytes(noise))[0] >= 1


def test_only_the_first_image_of_a_folder_is_counted_to_the_end(tmp_path, monkeypatch):
    (tmp_path / "b.tif").write_bytes(encoded(pictures(4), "TIFF"))
    (tmp_path / "a.jpg").write_bytes(encoded(pictures(3), "GIF"))
    (tmp_path / "c.png").write_bytes(encoded(pictures(1), "PNG"))
    names = ["b.tif", "a.jpg", "c.png", "missing.gif", "table.tsv/7", "a\0b.tif"]
    assert find_several(str(tmp_path), names) == {"a.jpg": "3 frames", "b.tif": ""}
    monkeypatch.setattr(pages, "_MAX_JPEGS", 0)
    assert find_several(str(tmp_path), names) == {"b.tif": "4 pages"}
