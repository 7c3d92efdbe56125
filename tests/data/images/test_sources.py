"""Folders of images, local and on a remote store."""

import base64
import os

import pytest
from pictures import gray_of, make_image

from caption_tx.config import Config, CorpusConfig
from caption_tx.data.images.decoding import MAX_BYTES
from caption_tx.data.images.discovery import find_images
from caption_tx.data.images.sources import ImageFolder, open_images, require_images
from caption_tx.errors import CaptionTxError, ConfigError, ImageError, MissingImageError


def test_folder_lists_reads_and_stamps_its_images(store):
    files = {"a/x.jpg": make_image(1, "JPEG"), "b.PNG": make_image(2), "a/c/猫 1.webp": make_image(3, "WEBP")}
    location = store(files | {"notes.txt": b"no image", "a/table.tsv": b"1\tAA=="})
    images = open_images(location)
    assert isinstance(images, ImageFolder)
    assert images.location == location
    assert images.names() == ["a/c/猫 1.webp", "a/x.jpg", "b.PNG"]
    for number, (name, data) in enumerate(files.items(), start=1):
        assert images.read_bytes(name) == data
        assert abs(gray_of(images, name) - number) <= 1
    before = {name: images.stamp(name) for name in files}
    assert len(set(before.values())) == 3
    assert {name: images.stamp(name) for name in files} == before
    store({"b.PNG": make_image(9)})
    assert images.stamp("b.PNG") != before["b.PNG"]
    assert images.stamp("a/x.jpg") == before["a/x.jpg"]


@pytest.mark.parametrize(
    "name", ["missing.jpg", "missing/x.jpg", "b.jpg/x.jpg", "", "a", "text.jpg", "empty.jpg", "a\0b.jpg"]
)
def test_unreadable_image_error_names_location_and_image(store, name):
    location = store({"a/x.jpg": make_image(1), "b.jpg": make_image(2), "text.jpg": b"hello", "empty.jpg": b""})
    with pytest.raises(ImageError) as caught:
        open_images(location).read_image(name, 8)
    assert str(caught.value).startswith(f"{location}/{name}")


@pytest.mark.parametrize("name", ["missing.jpg", "missing/x.jpg", "missing.tsv/7", "t.tsv/7", "b.jpg", "t.tsv/6"])
def test_missing_images_are_distinguished_from_unreadable_ones(store, name):
    location = store({"b.jpg": b"not an image", "t.tsv": b"6\tno make_image\n"})
    with pytest.raises(ImageError) as caught:
        open_images(location).read_image(name, 8)
    assert isinstance(caught.value, MissingImageError) == (name not in ("b.jpg", "t.tsv/6"))


def test_a_path_below_a_file_is_missing(tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"not an image")
    with pytest.raises(MissingImageError):
        open_images(str(tmp_path)).read_image("b.jpg/x.jpg", 8)


@pytest.mark.parametrize("name", ["missing.jpg", "missing/x.jpg", "missing.tsv/7"])
def test_stamp_of_a_missing_image_is_none(store, name):
    assert open_images(store({"b.jpg": make_image(2)})).stamp(name) is None


@pytest.mark.parametrize("location", ["nowhere", "ram://nowhere/at/all", "nowhere.tsv", "ram://nowhere/x.tsv"])
def test_a_missing_location_has_no_images(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    images = open_images(location)
    assert images.stamp("x.jpg") is None
    with pytest.raises(ImageError, match="nowhere"):
        images.read_bytes("x.jpg")
    with pytest.raises(ImageError, match="nowhere"):
        images.names()


def test_the_working_folder_is_a_location(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(make_image(4))
    monkeypatch.chdir(tmp_path)
    assert open_images("").names() == open_images(".").names() == ["x.png"]
    assert gray_of(open_images(""), "x.png") == 4
    assert gray_of(open_images(""), str(tmp_path / "x.png")) == 4


def test_circular_links_end_and_files_keep_their_own_names(tmp_path):
    (tmp_path / "z" / "deep").mkdir(parents=True)
    (tmp_path / "z" / "deep" / "1.png").write_bytes(make_image(1))
    (tmp_path / "z" / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "a").symlink_to(tmp_path / "z")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "linked.png").symlink_to(tmp_path / "z" / "deep" / "1.png")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "2.png").write_bytes(make_image(2))
    (tmp_path / "m").symlink_to(elsewhere)
    images = open_images(str(tmp_path))
    assert images.names() == ["linked.png", "m/2.png", "z/deep/1.png"]
    assert images.stamp("self.png") is None
    for name in ("self.png", "broken.png"):
        with pytest.raises(ImageError, match=name):
            images.read_bytes(name)


def test_pipes_and_devices_are_rejected_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.tsv")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    images = open_images(str(tmp_path))
    assert images.names() == []
    for name in ("pipe.jpg", "zero.jpg", "folder.jpg", "pipe.tsv/1"):
        with pytest.raises(ImageError, match=rf"{name.split('/')[0]} is .*not a file"):
            images.read_bytes(name)
    with pytest.raises(ImageError, match=r"pipe\.tsv is not a file"):
        open_images(str(tmp_path / "pipe.tsv"))


def test_a_folder_named_like_a_table_is_a_folder(tmp_path):
    (tmp_path / "x.tsv").mkdir()
    (tmp_path / "x.tsv" / "1.png").write_bytes(make_image(1))
    assert open_images(str(tmp_path)).names() == ["x.tsv/1.png"]
    assert gray_of(open_images(str(tmp_path)), "x.tsv/1.png") == 1
    assert gray_of(open_images(str(tmp_path / "x.tsv")), "1.png") == 1


def test_a_file_too_large_for_an_image_is_rejected_unread(tmp_path):
    for name in ("long.jpg", "t.tsv"):
        with open(tmp_path / name, "wb") as file:
            file.write(b"1\t")
            file.truncate(MAX_BYTES + 3)  # a sparse file
    with pytest.raises(ImageError, match=r"long\.jpg is too large: 536,870,915 bytes"):
        open_images(str(tmp_path)).read_bytes("long.jpg")
    with pytest.raises(ImageError, match=r"t\.tsv/1 is too large"):
        open_images(str(tmp_path)).read_bytes("t.tsv/1")


def test_a_name_that_is_not_utf8_is_listed_and_read(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(path, "wb") as file:
            file.write(make_image(3))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    images = open_images(str(tmp_path))
    [name] = images.names()
    assert gray_of(images, name) == 3


def test_local_images_do_not_load_tensorflow(tmp_path, run_python):
    (tmp_path / "x.png").write_bytes(make_image(1))
    (tmp_path / "t.tsv").write_bytes(b"1\t" + base64.b64encode(make_image(1)))
    code = (
        "import sys; from caption_tx.data.images.sources import open_images; images = open_images(sys.argv[1]);"
        "images.names(); images.stamp('x.png'); images.read_image('x.png', 8); images.read_image('t.tsv/1', 8);"
        "assert 'tensorflow' not in sys.modules"
    )
    process = run_python(code, tmp_path)
    assert process.returncode == 0, process.stderr


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ImageError, match=r"closed cannot be listed: Permission denied"):
        open_images(str(tmp_path / "closed")).names()


@pytest.mark.parametrize("call", ["scandir", "access"])
def test_a_subfolder_that_cannot_be_listed_is_left_out_and_reported(tmp_path, monkeypatch, call):
    for name in ("1.png", "closed/2.png", "open/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(make_image(1))
    usual = getattr(os, call)

    def refuse(path, *mode):  # chmod does not stop root
        if not str(path).endswith("closed"):
            return usual(path, *mode)
        if call == "access":
            return False
        raise PermissionError(13, "Permission denied", str(path))

    images = open_images(str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        assert images.names() == ["1.png", "open/3.png"]
    assert images.unlisted == {"closed": "Permission denied"}
    assert len(images.names()) == 3
    assert images.unlisted == {}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "photos.zip",
            r"photos\.zip is an archive; unpack it \(`unzip .*photos\.zip -d .*photos`\) and pass the folder",
        ),
        ("photos.tar.gz", r"is an archive; unpack it \(`mkdir .*photos && tar -xf .*photos\.tar\.gz -C .*photos`\)"),
        ("photos.RAR", "is an archive; unpack it"),
        ("captions.csv", r"captions\.csv is a file, not a folder of images; pass the folder"),
    ],
)
def test_files_that_are_no_folder_of_images(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(ImageError, match=advice):
        open_images(str(tmp_path / name))
    config = Config(corpus=CorpusConfig(sources=("x.csv",), images=str(tmp_path / name)))
    with pytest.raises(ConfigError, match=rf"images \(--images\): .*{advice}"):
        require_images(config)
    if name != "captions.csv":
        with pytest.raises(CaptionTxError, match=advice):
            find_images([tmp_path / name])
