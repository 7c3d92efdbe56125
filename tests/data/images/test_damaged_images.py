"""One run encodes five hundred damaged image files in a separate process, and survives."""

import dataclasses
import io
import json
import re
import shutil
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COUNT = 500
MEGABYTES_MORE = 300
"""Memory that damaged images may take in addition to that of good ones; 30,000x30,000 pixels take 2,700."""


def noise(number: int) -> Image.Image:
    """A different image for each number, at least 60x40."""
    shape = (40 + number % 7, 60 + number % 11, 3)
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, shape, np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def huge_png(number: int) -> bytes:
    """A PNG that claims 30,000x30,000 pixels and contains the first rows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes([number % 256]) * 900_010)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animation(number: int) -> bytes:
    return encoded(noise(number), "GIF", save_all=True, append_images=[noise(number + 1), noise(number + 2)])


def deep(number: int) -> bytes:
    values = np.random.default_rng(number).integers(0, 65_536, (50, 70)).astype(np.uint16)
    return encoded(Image.fromarray(values), "PNG")


def turned(orientation: int):
    return lambda number: encoded(noise(number), "JPEG", exif=exif(orientation))


GOOD = {
    "wrong extension": lambda number: encoded(noise(number), ("PNG", "GIF", "WEBP", "BMP", "TIFF")[number % 5]),
    "one pixel": lambda number: encoded(Image.new("RGB", (1, 1), (number % 256, 9, 77)), "PNG"),
    "animation": animation,
    "16 bits": deep,
    "CMYK": lambda number: encoded(noise(number).convert("CMYK"), "JPEG"),
    "transparent": lambda number: encoded(noise(number).convert("RGBA"), "PNG"),
    **{f"orientation {orientation}": turned(orientation) for orientation in range(1, 9)},
}
BAD = {
    "truncated": lambda number: encoded(noise(number), ("JPEG", "PNG")[number % 2])[: -900 - number],
    "beginning": lambda number: encoded(noise(number), "JPEG")[:20],
    "empty": lambda number: b"",
    "random": lambda number: np.random.default_rng(number).bytes(3000 + number),
    "text": lambda number: f"图片 {number} is not here".encode(),
    "huge": huge_png,
    "closed": lambda number: encoded(noise(number), "JPEG"),
    "folder": None,
    "gone": None,
}
REASONS = {
    "truncated": "truncated",
    "empty": r"empty \(0 bytes\)",
    "random": "not an image of a known format",
    "text": "not an image of a known format",
    "huge": "too large",
    "closed": "Permission denied",
    "folder": "a folder, not a file",
    "gone": "No such file",
}

RUN = """
import json, os, resource, sys, tempfile
from PIL import Image
from caption_tx.config import BackboneConfig, from_dict
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.encoding import EncodingOptions, encode_images
images, cache, config, names = sys.argv[1:]
with open(names) as file:
    names = json.load(file)
backbone = Backbone(from_dict(BackboneConfig, json.loads(config)))
with tempfile.TemporaryDirectory() as folder:  # triggers late imports while their files can be read
    encode_images(["warm.png", "gone.png"], os.path.join(images, "..", "warm"), folder, backbone)
Image.init()  # all formats
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)  # root can read everything
cache = encode_images(names, images, cache, backbone, EncodingOptions(batch_size=16, shard_size=64))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"images": sorted(cache.images), "failed": cache.failed, "peak": peak}))
"""


@pytest.fixture
def workspace():
    """A folder that every user can enter, unlike those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="caption_tx_damaged_"))
    path.chmod(0o777)
    (path / "warm").mkdir()
    noise(0).save(path / "warm" / "warm.png")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def run(workspace, backbone_config, run_forked):
    """Encodes the images of a folder in a separate process, as an ordinary user."""

    def run(folder: Path, names: list[str]) -> dict:
        list_of_names = workspace / f"{folder.name}.json"
        list_of_names.write_text(json.dumps(names))
        cache = workspace / f"cache of {folder.name}"
        cache.mkdir()
        cache.chmod(0o777)
        config = json.dumps(dataclasses.asdict(backbone_config))
        process = run_forked(RUN, folder, cache, config, list_of_names)
        assert process.returncode == 0, process.stderr[-3000:]
        failures = json.loads((cache / "failed.json").read_bytes()) if (cache / "failed.json").exists() else {}
        result = json.loads(process.stdout.splitlines()[-1])
        assert result["failed"] == failures
        return result

    return run


def write_damaged(folder: Path) -> list[str]:
    """Writes `COUNT` images and returns their names, which begin with their kind."""
    folder.mkdir()
    names = []
    kinds = list(GOOD | BAD)
    for number in range(COUNT):
        kind = kinds[number % len(kinds)]
        name = f"{kind}/{number:03d}.{('jpg', 'png', 'gif')[number % 3]}"
        names.append(name)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if kind == "folder":
            path.mkdir()
        elif kind != "gone":
            path.write_bytes((GOOD | BAD)[kind](number))
        if kind == "closed":
            path.chmod(0)
    return names


@pytest.mark.slow
def test_five_hundred_damaged_images(run, workspace):
    names = write_damaged(workspace / "damaged")
    result = run(workspace / "damaged", names)
    good = [name for name in names if name.split("/")[0] in GOOD]
    bad = [name for name in names if name.split("/")[0] in BAD]
    assert len(good) > 200
    assert len(bad) > 150
    assert result["images"] == sorted(good)
    assert sorted(result["failed"]) == sorted(bad)
    for name, reason in result["failed"].items():
        assert reason.count(name) == 1
        assert re.search(REASONS.get(name.split("/")[0], "cannot be read"), reason), reason

    (workspace / "good").mkdir()
    small = [f"{number:03d}.jpg" for number in range(COUNT // 5)]
    for number, name in enumerate(small):
        noise(number).save(workspace / "good" / name)
    undamaged = run(workspace / "good", small)
    assert undamaged["images"] == small
    assert undamaged["failed"] == {}
    assert result["peak"] < undamaged["peak"] + MEGABYTES_MORE, (result["peak"], undamaged["peak"])
