"""Images that a user names: files, folders, tables and the standard input."""

import base64
import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

from caption_tx.data.images.decoding import decode_image
from caption_tx.data.images.discovery import STANDARD_INPUT, count_images, find_images, read_standard_input
from caption_tx.data.images.file_names import FolderNames, decode_name, encoding_of
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CaptionTxError, ImageError


def make_tree(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def below(folder, **options):
    return [str(name).removeprefix(f"{folder}/") for name in find_images([folder], **options)]


def test_a_folder_yields_its_images_in_order_without_hidden_ones(tmp_path):
    make_tree(tmp_path, "b.png", "a.JPG", "notes.txt", "z/1.webp", "c/深/2.jpeg", "._a.JPG", ".thumbs/a.jpg")
    make_tree(tmp_path, "__MACOSX/c/._2.jpeg", "z/__MACOSX/3.jpg", "z/.hidden.png", "z/10.png")
    expected = ["a.JPG", "b.png", "c/深/2.jpeg", "z/1.webp", "z/10.png"]
    assert below(tmp_path) == expected
    assert count_images([tmp_path, tmp_path / "z"]) == 7


SYSTEM = (
    "@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg", "__MACOSX/._a.jpg", "z/._1.jpg", ".thumbnails/1.png", "Thumbs.db", ".DS_Store",
    "desktop.ini", ".picasaoriginals/a.jpg", "#recycle/old.jpg", ".Trash-1000/files/b.jpg", "lost+found/1.jpg",
    "$RECYCLE.BIN/1.jpg", ".@__thumb/a.jpg",
)  # fmt: skip


def test_images_of_the_system_are_left_out_and_counted(tmp_path):
    make_tree(tmp_path, "a.jpg", "z/1.jpg", "eaDir/2.jpg", "recycle/3.jpg")
    messages = []
    assert below(tmp_path, report=messages.append) == ["a.jpg", "eaDir/2.jpg", "recycle/3.jpg", "z/1.jpg"]
    assert messages == []
    make_tree(tmp_path, *SYSTEM)
    assert below(tmp_path, report=messages.append) == ["a.jpg", "eaDir/2.jpg", "recycle/3.jpg", "z/1.jpg"]
    assert messages == [
        f"{tmp_path}: 10 images left out that are hidden or in a folder of the system (such as '#recycle/old.jpg')."
    ]
    assert len(open_images(str(tmp_path)).names()) == count_images([tmp_path]) == 4
    with pytest.raises(CaptionTxError, match=r"no images that can be read in the folder .*@eaDir; .* 1 images left"):
        make_tree(tmp_path, "@eaDir/.hidden.jpg")
        (tmp_path / SYSTEM[0]).unlink()
        find_images([tmp_path / "@eaDir"])


def test_names_begin_with_the_path_as_given(tmp_path, monkeypatch):
    make_tree(tmp_path, "photos/a.jpg", "photos/b/c.jpg")
    monkeypatch.chdir(tmp_path)
    assert list(find_images(["photos/", "photos/a.jpg"])) == ["photos/a.jpg", "photos/b/c.jpg", "photos/a.jpg"]
    monkeypatch.chdir(tmp_path / "photos")
    assert list(find_images(["."])) == ["a.jpg", "b/c.jpg"]


def test_circular_links_end_and_a_folder_is_listed_once(tmp_path):
    make_tree(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self").symlink_to(".")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "z").symlink_to(tmp_path / "b")
    assert below(tmp_path) == ["a/1.png", "b/2.png"]


def test_a_subfolder_that_cannot_be_listed_is_reported_and_left_out(tmp_path, monkeypatch):
    make_tree(tmp_path, "a/1.png", "closed/2.png", ".Trash/3.png")
    usual = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "closed" not in str(path) and usual(path, mode))  # root may
    messages = []
    assert below(tmp_path, report=messages.append) == ["a/1.png"]
    assert messages[0] == f"Skipped the folder {tmp_path}/closed, which cannot be listed: Permission denied."
    with pytest.raises(CaptionTxError, match=r"closed cannot be listed: Permission denied"):
        find_images([tmp_path / "closed"])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a.png", "nowhere.jpg"], "no image or folder 'nowhere.jpg'"),
        (["a.png", "empty"], r"no images \(.jpg, .*\) in the folder empty\."),
        (["-", "-"], r"standard input \('-'\) can be read only once"),
        (["none.tsv"], "table of images none.tsv has no rows"),
    ],
)
def test_paths_are_checked_before_any_image_is_read(tmp_path, monkeypatch, paths, message):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, "a.png", "empty/notes.txt")
    (tmp_path / "none.tsv").write_text("\tbase64 without an id\n")
    with pytest.raises(CaptionTxError, match=message):
        find_images(paths)


def test_a_folder_is_listed_while_its_images_are_consumed(tmp_path):
    make_tree(tmp_path, "a/1.png", "b/2.png")
    images = find_images([tmp_path])
    assert next(images) == f"{tmp_path}/a/1.png"
    make_tree(tmp_path, "b/3.png")
    assert list(images) == [f"{tmp_path}/b/2.png", f"{tmp_path}/b/3.png"]


def test_rows_of_a_table_are_images(tmp_path):
    rows = "".join(f"{name}\t{base64.b64encode(b'x').decode()}\n" for name in ("7", "5"))
    (tmp_path / "t.tsv").write_text(rows)
    assert below(tmp_path / "t.tsv") == ["5", "7"]
    assert count_images([tmp_path / "t.tsv"]) is count_images(["-"]) is count_images(["gs://bucket/x"]) is None


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"a.jpg\nb c.jpg\n", ["a.jpg", "b c.jpg"]),
        (b"a.jpg\n\n  \nb.jpg", ["a.jpg", "b.jpg"]),
        (b"\xef\xbb\xbfa.jpg\r\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        (b"./new\nline.jpg\0./b.jpg\0", ["./new\nline.jpg", "./b.jpg"]),
        ("图/一.jpg\n".encode() + b"\xff\xfe.jpg\n", ["图/一.jpg", "\udcff\udcfe.jpg"]),
        (b"BMW/a.jpg\nP6.jpg\nGIF.jpg\nRIFF.webp\n", ["BMW/a.jpg", "P6.jpg", "GIF.jpg", "RIFF.webp"]),
        (b"P5 x.jpg\n" * 9000, ["P5 x.jpg"] * 9000),
    ],
)
def test_a_list_of_paths(data, names):
    assert list(find_images([STANDARD_INPUT], stdin=io.BytesIO(data))) == names


class Trickle(io.BytesIO):
    """Returns a few bytes at a time, as a slow pipe does."""

    def read(self, size=-1):
        return super().read(min(size, 1021) if self.tell() > 20 else 5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM"])
def test_an_image_of_any_supported_format_is_recognized(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    data = stream.getvalue()
    decode_image(data, "x")
    assert list(read_standard_input(io.BytesIO(data))) == [("-", data)]
    assert list(read_standard_input(Trickle(data))) == [("-", data)]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"\n\n", "is empty"), (b"\x01" * 300_000, "neither an image of a known format")],
)
def test_input_that_is_neither_an_image_nor_a_list_is_an_error(data, message):
    with pytest.raises(CaptionTxError, match=message):
        list(read_standard_input(io.BytesIO(data)))


def test_paths_of_a_slow_list_are_yielded_as_they_arrive():
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as pipe:
        names = read_standard_input(pipe)
        for index in range(3):
            os.write(writer, b"some/folder/with/a/long/name/%d.jpg\n" % index)
            assert next(names) == f"some/folder/with/a/long/name/{index}.jpg"  # the pipe is still open
        os.close(writer)
        assert list(names) == []


@pytest.mark.parametrize("separator", [b"\0", b"\n"])
def test_the_separator_of_a_slow_list_is_detected(separator):
    """The first path arrives in pieces, and only the last piece contains the separator."""

    class Pieces:
        def __init__(self):
            self.pieces = [
                b"some/folder/whose/name/takes/forty/bytes",
                b"/and\xe5\x9b",
                b"\xbe.jpg" + separator,
                b"b.jpg" + separator,
            ]

        def read(self, size):
            return self.pieces.pop(0) if self.pieces else b""

    stream = Pieces()
    names = read_standard_input(stream)
    assert next(names) == "some/folder/whose/name/takes/forty/bytes/and图.jpg"
    assert len(stream.pieces) == 1  # the rest has not arrived yet
    assert list(names) == ["b.jpg"]


@pytest.mark.parametrize("address", ["https://example.com/dog.jpg", "HTTP://example.com/photos", "ftp://host/dog.jpg"])
def test_a_web_address_is_to_be_downloaded(address):
    for read in (
        lambda: find_images([address]),
        lambda: open_images(address),
        lambda: open_images("").read_bytes(address),
    ):
        with pytest.raises(ImageError, match=rf"^{address} is a web address; download it first"):
            read()


def test_every_suffix_that_pillow_reads_is_found_and_other_pictures_are_counted(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    readable = ("a.jpg", "b.jfif", "c.avif", "d.jp2", "e.JPE", "f.ppm", "g.mpo", "h.dib", "i.pjpeg", "j.apng", "k.psd")
    make_tree(tmp_path, *readable, "l.heic", "m/n.HEIC", "o.jxl", "p.CR2", "q.svg", "notes.txt", "movie.mp4", "x.h5")
    messages = []
    assert below(tmp_path, report=messages.append) == list(readable)
    assert messages == [
        f"{tmp_path}: 5 picture files cannot be read (2 .heic, 1 .jxl, 1 .cr2, 1 .svg); install the extra that reads "
        "HEIC (pip install 'caption_tx[heic]') or convert them to JPEG; convert .cr2, .jxl, .svg to JPEG or PNG."
    ]


def test_heic_files_are_found_with_their_extra(tmp_path):
    pytest.importorskip("pillow_heif")
    make_tree(tmp_path, "a.heic", "b.HIF")
    assert below(tmp_path) == ["a.heic", "b.HIF"]


def test_a_folder_with_only_unreadable_pictures_says_what_to_do(tmp_path):
    make_tree(tmp_path, "a.nef")
    with pytest.raises(CaptionTxError, match=r"no images that can be read .*\(1 \.nef\); convert \.nef to JPEG or PNG"):
        find_images([tmp_path])


@pytest.mark.parametrize("encoding", ["gbk", "big5"])
def test_file_names_in_other_encodings_are_read(tmp_path, encoding):
    path = os.fsencode(tmp_path) + b"/" + "照片".encode(encoding)
    os.mkdir(path)
    with open(path + b"/" + "小狗.jpg".encode(encoding), "wb") as file:
        Image.new("RGB", (9, 9), "red").save(file, "JPEG")
    messages = []
    (name,) = find_images([tmp_path], report=messages.append)
    assert name == f"{tmp_path}/照片/小狗.jpg"
    assert open_images("").read_image(name, 8)[1].shape == (8, 8, 3)
    kind = "GBK" if encoding == "gbk" else "Big5"
    assert f"1 file names that are not UTF-8, read as {kind} (`convmv -f {encoding} -t utf8`" in messages[0]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("图0.jpg", "gb18030"),  # ͼ0.jpg in UTF-8
        ("小猫.jpg", "gb18030"),
        ("动物照片/猫.jpg", "gb18030"),
        ("图/狗.jpg", "gb18030"),
        ("夜市小吃.jpg", "big5"),
        ("臺灣/黑狗.jpg", "big5"),
        ("café/Ελλάδα/ǎ.jpg", None),
        ("Москва é.jpg", None),
        ("cafe\u0301.jpg", None),
        ("狗/图.jpg", None),
    ],
)
def test_the_encoding_of_a_path(name, encoding):
    written = os.fsdecode(name.encode(encoding or "utf-8"))
    assert (encoding_of(written), decode_name(written)) == (encoding, name)


GBK, BIG5 = "gb18030", "big5"


def on_disk(name, encoding=GBK):
    return os.fsdecode(name.encode(encoding))


@pytest.mark.parametrize(
    ("others", "written", "read"),
    [
        ([on_disk("狗.jpg")], on_disk("猫.jpg"), "猫.jpg"),  # è in UTF-8
        ([on_disk("狗.jpg")], on_disk("猫1.jpg"), "猫1.jpg"),
        (["狗.jpg"], on_disk("猫.jpg"), "猫.jpg"),
        (["1.jpg"], "è.jpg", "è.jpg"),
        (["狗.jpg"], "été.jpg", "été.jpg"),
        ([on_disk("狗.jpg")], "été.jpg", "été.jpg"),
        ([on_disk("狗.jpg")], "дом.jpg", "дом.jpg"),
        (["狗.jpg"], "дом.jpg", "дом.jpg"),
        (["狗.jpg"], "e è.jpg", "e è.jpg"),
        ([on_disk("狗.jpg")], "狗2.jpg", "狗2.jpg"),
    ],
)
def test_short_names_are_read_like_the_other_names_in_their_folder(tmp_path, others, written, read):
    names = FolderNames("", lambda: [*others, written])
    assert names.decode(written) == read
    assert (names.encoding_of(written) is None) == (written == read)
    for name in [*others, written]:
        (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    assert read in set(open_images(str(tmp_path)).walk())
    assert open_images(str(tmp_path)).read_bytes(read)
