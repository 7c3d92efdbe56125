"""What a viewer shows differently is found, and a source says how it read its images."""

import numpy as np
import pytest
from pictures import BLUE, GRADIENT, GREEN, corners_image, encoded
from PIL import Image, ImageCms

from caption_tx.data.images.decoding import decode_image
from caption_tx.data.images.sources import open_images

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OPAQUE, TRANSPARENT = corners_image().convert("RGBA"), corners_image().convert("RGBA")
TRANSPARENT.putpixel((0, 0), (0, 0, 0, 100))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (encoded(corners_image(), "JPEG"), {}),
        (encoded(OPAQUE, "PNG"), {}),
        (encoded(TRANSPARENT, "PNG"), {"transparent_image": ""}),
        (encoded(corners_image().quantize(8), "PNG"), {}),
        (encoded(Image.new("RGB", (8, 8), BLUE), "PNG", transparency=BLUE), {"transparent_image": ""}),
        (encoded(Image.new("RGB", (8, 8), BLUE), "PNG", transparency=GREEN), {}),
        (
            encoded(corners_image(), "TIFF", save_all=True, append_images=[corners_image()]),
            {"several_pictures": "2 pages"},
        ),
        (encoded(corners_image().convert("CMYK"), "JPEG"), {}),
        (
            encoded(corners_image().convert("CMYK"), "JPEG", icc_profile=PROFILE),
            {"color_profile_ignored": ""},
        ),
        (encoded(corners_image(), "JPEG", icc_profile=PROFILE), {}),
        (encoded(Image.fromarray((GRADIENT * 65535).astype(np.uint16)), "PNG"), {}),
        (encoded(Image.fromarray((GRADIENT * 200).astype(np.uint16)), "PNG"), {"dark_image": "up to 200"}),
        (encoded(Image.new("I;16", (8, 8)), "PNG"), {}),
        (encoded(Image.fromarray(GRADIENT), "TIFF"), {"float_image": "from 0 to 1, read as 0 to 1"}),
        (encoded(Image.fromarray(GRADIENT * 70000), "TIFF"), {"float_image": "from 0 to 7e+04, read as 0 to 70000"}),
    ],
)
def test_what_a_viewer_shows_differently_is_found(data, found):
    actual = {}
    decode_image(data, "x", 16, actual)
    assert actual == found


def test_a_source_says_how_it_read_its_images(tmp_path):
    names = ["a.tif", "b.gif", "c.png", "d.png"]
    for name, image in zip(names, (corners_image(), corners_image(), TRANSPARENT, OPAQUE), strict=True):
        more = (
            {"save_all": True, "append_images": [Image.new("RGB", (8, 8), c) for c in range(3)]} if name < "c" else {}
        )
        image.save(tmp_path / name, **more)
    images = open_images(str(tmp_path))
    for name in names:
        images.read_image(name, 16)
    assert images.interpretation_notes() == [
        "2 of 4 images with several pages or frames, of which only the first is read (first: a.tif, 4 pages); save "
        "each page as a file of its own to caption them all",
        "1 of 4 images that are transparent in places, which are shown on white (c.png)",
    ]
    assert len(images.interpretation_notes(without=("several_pictures",))) == 1
