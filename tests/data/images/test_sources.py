"""Images by name, from folders, remote stores and tables in base64."""

import base64
import hashlib
import io
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from caption_tx.data.images import sources as image_folders
from caption_tx.data.images.decoding import MAX_BYTES, content_hash
from caption_tx.data.images.sources import ImageFolder, ImageTable, MissingImageError, open_images
from caption_tx.errors import ImageError


def picture(number: int, kind: str = "PNG") -> bytes:
    """A picture of 17x13 pixels whose gray is its number."""
    buffer = io.BytesIO()
    Image.new("RGB", (17, 13), (number, number, number)).save(buffer, kind)
    return buffer.getvalue()


def grey_of(images, name: str) -> int:
    content, pixels = images.read_image(name, 8)
    assert content == content_hash(images.read_bytes(name))
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    assert images.read_pil_image(name)[1].size == (17, 13)
    return int(pixels[3, 3, 0])


@pytest.fixture
def write_table(tmp_path):
    """Writes rows of columns, text or bytes, as a TSV file."""

    def write(rows, name="images.tsv", end=b"\n", begin=b""):
        lines = [b"\t".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in row) for row in rows]
        path = tmp_path / name
        path.write_bytes(begin + end.join([*lines, b""]))
        return str(path)

    return write


@pytest.fixture(params=["local", "ram"])
def store(request, tmp_path):
    """Writes files into a folder, here or on a remote store; gives its location."""
    location = str(tmp_path / "store") if request.param == "local" else f"ram://{uuid.uuid4().hex}/图片"

    def write(files: dict[str, bytes]) -> str:
        import tensorflow as tf

        for name, data in files.items():
            path = f"{location}/{name}"
            tf.io.gfile.makedirs(os.path.dirname(path))
            if tf.io.gfile.exists(path):  # or "ram" would write behind what is there
                tf.io.gfile.remove(path)
            with tf.io.gfile.GFile(path, "wb") as file:
                file.write(data)
        return location

    return write


def test_folder_reads_lists_and_stamps(store):
    files = {"a/x.jpg": picture(1, "JPEG"), "b.PNG": picture(2), "a/c/猫 1.webp": picture(3, "WEBP")}
    location = store(files | {"notes.txt": b"no image", "a/table.tsv": b"1\tAA=="})
    images = open_images(location)
    assert isinstance(images, ImageFolder)
    assert images.location == location
    assert images.names() == ["a/c/猫 1.webp", "a/x.jpg", "b.PNG"]
    for number, (name, data) in enumerate(files.items(), start=1):
        assert images.read_bytes(name) == data
        assert abs(grey_of(images, name) - number) <= 1
    before = {name: images.stamp(name) for name in files}
    assert len(set(before.values())) == 3
    assert {name: images.stamp(name) for name in files} == before
    store({"b.PNG": picture(9)})
    assert images.stamp("b.PNG") != before["b.PNG"]
    assert images.stamp("a/x.jpg") == before["a/x.jpg"]


@pytest.mark.parametrize(
    "name", ["gone.jpg", "gone/x.jpg", "b.jpg/x.jpg", "", "a", "text.jpg", "empty.jpg", "a\0b.jpg"]
)
def test_what_cannot_be_read_is_an_error_that_names_place_and_name(store, name):
    location = store({"a/x.jpg": picture(1), "b.jpg": picture(2), "text.jpg": b"hello", "empty.jpg": b""})
    with pytest.raises(ImageError) as caught:
        open_images(location).read_image(name, 8)
    assert str(caught.value).startswith(f"{location}/{name}")


@pytest.mark.parametrize("name", ["gone.jpg", "gone/x.jpg", "gone.tsv/7", "t.tsv/7", "b.jpg", "t.tsv/6"])
def test_what_is_gone_is_told_from_what_cannot_be_read(store, name):
    location = store({"b.jpg": b"no picture", "t.tsv": b"6\tno picture\n"})
    with pytest.raises(ImageError) as caught:
        open_images(location).read_image(name, 8)
    assert isinstance(caught.value, MissingImageError) == (name not in ("b.jpg", "t.tsv/6"))


def test_what_lies_in_a_file_is_gone(tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(MissingImageError):
        open_images(str(tmp_path)).read_image("b.jpg/x.jpg", 8)


@pytest.mark.parametrize("name", ["gone.jpg", "gone/x.jpg", "gone.tsv/7"])
def test_the_stamp_of_what_is_gone_is_none(store, name):
    assert open_images(store({"b.jpg": picture(2)})).stamp(name) is None


@pytest.mark.parametrize("location", ["nowhere", "ram://nowhere/at/all", "nowhere.tsv", "ram://nowhere/x.tsv"])
def test_a_location_that_is_not_there_has_no_images(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    images = open_images(location)
    assert images.stamp("x.jpg") is None
    with pytest.raises(ImageError, match="nowhere"):
        images.read_bytes("x.jpg")
    with pytest.raises(ImageError, match="nowhere"):
        images.names()


def test_the_working_folder_is_a_location_too(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(picture(4))
    monkeypatch.chdir(tmp_path)
    assert open_images("").names() == open_images(".").names() == ["x.png"]
    assert grey_of(open_images(""), "x.png") == 4
    assert grey_of(open_images(""), str(tmp_path / "x.png")) == 4


def test_links_in_a_circle_end_and_files_go_by_their_own_names(tmp_path):
    (tmp_path / "z" / "deep").mkdir(parents=True)
    (tmp_path / "z" / "deep" / "1.png").write_bytes(picture(1))
    (tmp_path / "z" / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "a").symlink_to(tmp_path / "z")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "linked.png").symlink_to(tmp_path / "z" / "deep" / "1.png")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "2.png").write_bytes(picture(2))
    (tmp_path / "m").symlink_to(elsewhere)
    images = open_images(str(tmp_path))
    assert images.names() == ["linked.png", "m/2.png", "z/deep/1.png"]
    assert images.stamp("self.png") is None
    for name in ("self.png", "broken.png"):
        with pytest.raises(ImageError, match=name):
            images.read_bytes(name)


def test_pipes_and_devices_are_refused_without_waiting(tmp_path):
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
    (tmp_path / "x.tsv" / "1.png").write_bytes(picture(1))
    assert open_images(str(tmp_path)).names() == ["x.tsv/1.png"]
    assert grey_of(open_images(str(tmp_path)), "x.tsv/1.png") == 1
    assert grey_of(open_images(str(tmp_path / "x.tsv")), "1.png") == 1


def encodings(data: bytes) -> dict[str, bytes]:
    return {
        "standard": base64.b64encode(data),
        "without padding": base64.b64encode(data).rstrip(b"="),
        "URL-safe": base64.urlsafe_b64encode(data),
        "URL-safe without padding": base64.urlsafe_b64encode(data).rstrip(b"="),
        "data URL": b"data:image/png;base64," + base64.b64encode(data),
    }


@pytest.mark.parametrize("kind", encodings(b""))
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_way_to_write_base64_is_read(write_table, kind, end):
    data = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(40))
    assert b"-" in base64.urlsafe_b64encode(data)
    rows = {str(length): data[:length] for length in (1000, 1001, 1002, 1003)}
    images = open_images(write_table([(name, encodings(data)[kind]) for name, data in rows.items()], end=end))
    assert {name: images.read_bytes(name) for name in images.names()} == rows


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_table_of_chinese_clip(write_table, begin):
    rows = [(1_000_000 + number, base64.urlsafe_b64encode(picture(number))) for number in (30, 10, 20)]
    images = open_images(write_table(rows, begin=begin))
    assert isinstance(images, ImageTable)
    assert images.names() == ["1000010", "1000020", "1000030"]
    assert [grey_of(images, name) for name in images.names()] == [10, 20, 30]
    assert images.stamp("1000010") is not None


def test_table_of_ofa_has_the_image_id_in_its_second_column(write_table):
    rows = [
        (7, "img_5", "一只 狗 在 跑", "dog&&grass", base64.b64encode(picture(50))),
        (8, "img_6", "", "", base64.b64encode(picture(60))),
        (9, "img_5", "another\tcaption", "", base64.b64encode(picture(50))),
    ]
    images = open_images(write_table(rows))
    assert images.names() == ["img_5", "img_6"]
    assert [grey_of(images, name) for name in images.names()] == [50, 60]


def test_a_row_of_a_table_in_a_folder(write_table, tmp_path):
    write_table([(1_000_002, base64.b64encode(picture(2)))], "train_imgs.tsv")
    (tmp_path / "sub").mkdir()
    write_table([("猫", base64.b64encode(picture(3)))], "sub/valid.tsv")
    images = open_images(str(tmp_path))
    assert grey_of(images, "train_imgs.tsv/1000002") == 2
    assert grey_of(images, "sub/valid.tsv/猫") == 3
    assert images.stamp("sub/valid.tsv/猫") not in (None, images.stamp("train_imgs.tsv/1000002"))
    assert images.names() == []
    with pytest.raises(ImageError, match=r"train_imgs\.tsv has no row with the id '猫'"):
        images.read_bytes("train_imgs.tsv/猫")


def test_tables_on_a_remote_store(store):
    location = store({"t.tsv": b"5\t" + base64.b64encode(picture(5)) + b"\n6\t" + base64.b64encode(picture(6))})
    assert grey_of(open_images(location), "t.tsv/6") == 6
    assert open_images(f"{location}/t.tsv").names() == ["5", "6"]


def test_a_bad_row_costs_no_other(write_table):
    good = base64.b64encode(picture(5))
    rows = [
        ("a", good),
        ("no tab",),
        (),
        ("b", b"*not base64*"),
        ("c", good[:40]),
        ("d", b""),
        ("", good),
        ("e", good),
    ]
    images = open_images(write_table(rows))
    assert images.names() == ["a", "b", "c", "d", "e"]
    for name, reason in {"b": "no base64", "c": "cannot be read", "d": "0 bytes", "no tab": "no row"}.items():
        with pytest.raises(ImageError, match=f"images.tsv/{name}.*{reason}"):
            images.read_image(name, 8)
    assert grey_of(images, "a") == grey_of(images, "e") == 5
    assert (images.rows, images.malformed, images.repeated) == (7, [2, 7], [])


def test_of_rows_with_one_id_the_first_counts(write_table):
    rows = [(1, base64.b64encode(picture(5))), (2, base64.b64encode(picture(6))), (1, base64.b64encode(picture(7)))]
    images = open_images(write_table(rows))
    assert images.names() == ["1", "2"]
    assert grey_of(images, "1") == 5
    assert (images.rows, images.malformed, images.repeated) == (3, [], [(3, "1")])
    assert images.tables() == [images]


@pytest.mark.parametrize("data", [b"", b"no tabs\nat all\n", bytes(100_000)])
def test_a_file_without_tabs_is_refused_saying_what_is_expected(tmp_path, data):
    (tmp_path / "x.tsv").write_bytes(data)
    with pytest.raises(ImageError, match=r"x\.tsv.*no tab.*id<TAB>base64"):
        open_images(str(tmp_path / "x.tsv"))
    with pytest.raises(ImageError, match=r"x\.tsv.*no tab"):
        open_images(str(tmp_path)).read_bytes("x.tsv/1")


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1000])
def test_rows_may_lie_across_the_pieces_in_which_a_table_is_read(write_table, monkeypatch, chunk):
    rows = [(number, "id", "狗", "", base64.b64encode(bytes([number]) * number)) for number in range(1, 40)]
    wanted = ImageTable(write_table([(row[0], row[-1]) for row in rows], "two.tsv"))._index()
    monkeypatch.setattr(image_folders, "_CHUNK", chunk)
    images = open_images(write_table([(row[0], row[-1]) for row in rows], "same.tsv"))
    assert images._index() == wanted
    assert all(images.read_bytes(str(number)) == bytes([number]) * number for number in range(1, 40))
    rows = [(0, f"名{number}", *row[2:]) for number, row in enumerate(rows)]
    images = open_images(write_table(rows, "five.tsv"))
    assert images.read_bytes("名7") == b"\x08" * 8
    assert len(images.names()) == 39


MEMORY = """
import resource, sys
from caption_tx.data.images.sources import open_images
images = open_images(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
names = images.names()
print(len(names), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_indexing_keeps_no_base64_in_memory(tmp_path, run_python):
    """A table of 300 MB, one row of it 200 MB long, costs next to nothing to index."""
    with open(tmp_path / "big.tsv", "wb") as file:
        row = b"A" * 1_000_000 + b"\n"
        for number in range(100):
            file.write(b"%d\t" % number + row)
        file.write(b"long\t" + b"A" * 200_000_000 + b"\nlast\tAAAA\n")
    process = run_python(MEMORY, tmp_path / "big.tsv")
    assert process.returncode == 0, process.stderr
    rows, megabytes = map(int, process.stdout.split())
    assert rows == 102
    assert megabytes < 40


def test_a_file_too_long_to_be_a_picture_is_refused_unread(tmp_path):
    for name in ("long.jpg", "t.tsv"):
        with open(tmp_path / name, "wb") as file:
            file.write(b"1\t")
            file.truncate(MAX_BYTES + 3)  # no block of the disk is written
    with pytest.raises(ImageError, match=r"long\.jpg is too large: 536,870,915 bytes"):
        open_images(str(tmp_path)).read_bytes("long.jpg")
    with pytest.raises(ImageError, match=r"t\.tsv/1 is too large"):
        open_images(str(tmp_path)).read_bytes("t.tsv/1")


def test_threads_share_images(write_table, tmp_path):
    rows = {f"{number}": picture(number) for number in range(100)}
    write_table([(name, base64.b64encode(data)) for name, data in rows.items()])
    images = open_images(str(tmp_path))
    barrier = threading.Barrier(8)

    def read(name):
        if int(name) < 8:
            barrier.wait()
        return images.read_bytes(f"images.tsv/{name}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, rows)) == list(rows.values())


def test_a_name_that_is_no_utf_8_is_listed_and_read(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(path, "wb") as file:
            file.write(picture(3))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    images = open_images(str(tmp_path))
    [name] = images.names()
    assert grey_of(images, name) == 3


def test_local_images_need_no_tensorflow(tmp_path):
    (tmp_path / "x.png").write_bytes(picture(1))
    (tmp_path / "t.tsv").write_bytes(b"1\t" + base64.b64encode(picture(1)))
    code = (
        "import sys; from caption_tx.data.images.sources import open_images; images = open_images(sys.argv[1]);"
        "images.names(); images.stamp('x.png'); images.read_image('x.png', 8); images.read_image('t.tsv/1', 8);"
        "assert 'tensorflow' not in sys.modules"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(image_folders.__file__)))
    environment = os.environ | {"PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True, timeout=60)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
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
def test_a_subfolder_that_cannot_be_listed_is_left_out_and_told(tmp_path, monkeypatch, call):
    for name in ("1.png", "closed/2.png", "open/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(1))
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
