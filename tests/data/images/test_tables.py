"""Tables of images in base64."""

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pictures import gray_of, make_image

from caption_tx.data.images import tables
from caption_tx.data.images.sources import open_images
from caption_tx.data.images.tables import ImageTable
from caption_tx.errors import ImageError


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
def test_every_base64_variant_is_read(write_table, kind, end):
    data = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(40))
    assert b"-" in base64.urlsafe_b64encode(data)
    rows = {str(length): data[:length] for length in (1000, 1001, 1002, 1003)}
    images = open_images(write_table([(name, encodings(data)[kind]) for name, data in rows.items()], end=end))
    assert {name: images.read_bytes(name) for name in images.names()} == rows


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_chinese_clip_table(write_table, begin):
    rows = [(1_000_000 + number, base64.urlsafe_b64encode(make_image(number))) for number in (30, 10, 20)]
    images = open_images(write_table(rows, begin=begin))
    assert isinstance(images, ImageTable)
    assert images.names() == ["1000010", "1000020", "1000030"]
    assert [gray_of(images, name) for name in images.names()] == [10, 20, 30]
    assert images.stamp("1000010") is not None


def test_ofa_table_has_the_image_id_in_its_second_column(write_table):
    rows = [
        (7, "img_5", "一只 狗 在 跑", "dog&&grass", base64.b64encode(make_image(50))),
        (8, "img_6", "", "", base64.b64encode(make_image(60))),
        (9, "img_5", "another\tcaption", "", base64.b64encode(make_image(50))),
    ]
    images = open_images(write_table(rows))
    assert images.names() == ["img_5", "img_6"]
    assert [gray_of(images, name) for name in images.names()] == [50, 60]


def test_a_row_of_a_table_in_a_folder(write_table, tmp_path):
    write_table([(1_000_002, base64.b64encode(make_image(2)))], "train_imgs.tsv")
    (tmp_path / "sub").mkdir()
    write_table([("猫", base64.b64encode(make_image(3)))], "sub/valid.tsv")
    images = open_images(str(tmp_path))
    assert gray_of(images, "train_imgs.tsv/1000002") == 2
    assert gray_of(images, "sub/valid.tsv/猫") == 3
    assert images.stamp("sub/valid.tsv/猫") not in (None, images.stamp("train_imgs.tsv/1000002"))
    assert images.names() == []
    with pytest.raises(ImageError, match=r"train_imgs\.tsv has no row with the id '猫'"):
        images.read_bytes("train_imgs.tsv/猫")


def test_tables_on_a_remote_store(store):
    location = store({"t.tsv": b"5\t" + base64.b64encode(make_image(5)) + b"\n6\t" + base64.b64encode(make_image(6))})
    assert gray_of(open_images(location), "t.tsv/6") == 6
    assert open_images(f"{location}/t.tsv").names() == ["5", "6"]


def test_a_bad_row_does_not_affect_others(write_table):
    good = base64.b64encode(make_image(5))
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
    for name, reason in {"b": "not base64", "c": "cannot be read", "d": "0 bytes", "no tab": "no row"}.items():
        with pytest.raises(ImageError, match=f"images.tsv/{name}.*{reason}"):
            images.read_image(name, 8)
    assert gray_of(images, "a") == gray_of(images, "e") == 5
    assert (images.rows, images.malformed, images.repeated) == (7, [2, 7], [])


def test_the_first_of_rows_with_the_same_id_is_used(write_table):
    rows = [
        (1, base64.b64encode(make_image(5))),
        (2, base64.b64encode(make_image(6))),
        (1, base64.b64encode(make_image(7))),
    ]
    images = open_images(write_table(rows))
    assert images.names() == ["1", "2"]
    assert gray_of(images, "1") == 5
    assert (images.rows, images.malformed, images.repeated) == (3, [], [(3, "1")])
    assert images.tables() == [images]


@pytest.mark.parametrize("data", [b"", b"no tabs\nat all\n", bytes(100_000)])
def test_a_file_without_tabs_is_rejected_with_the_expected_layout(tmp_path, data):
    (tmp_path / "x.tsv").write_bytes(data)
    with pytest.raises(ImageError, match=r"x\.tsv.*no tab.*id<TAB>base64"):
        open_images(str(tmp_path / "x.tsv"))
    with pytest.raises(ImageError, match=r"x\.tsv.*no tab"):
        open_images(str(tmp_path)).read_bytes("x.tsv/1")


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1000])
def test_rows_may_span_chunks(write_table, monkeypatch, chunk):
    rows = [(number, "id", "狗", "", base64.b64encode(bytes([number]) * number)) for number in range(1, 40)]
    expected = ImageTable(write_table([(row[0], row[-1]) for row in rows], "two.tsv")).index()
    monkeypatch.setattr(tables, "_CHUNK", chunk)
    images = open_images(write_table([(row[0], row[-1]) for row in rows], "same.tsv"))
    assert images.index() == expected
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
    """Indexing a table of 300 MB, with one row of 200 MB, takes hardly any memory."""
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


def test_threads_share_a_table(write_table, tmp_path):
    rows = {f"{number}": make_image(number) for number in range(100)}
    write_table([(name, base64.b64encode(data)) for name, data in rows.items()])
    images = open_images(str(tmp_path))
    barrier = threading.Barrier(8)

    def read(name):
        if int(name) < 8:
            barrier.wait()
        return images.read_bytes(f"images.tsv/{name}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, rows)) == list(rows.values())


@pytest.mark.parametrize("width", [64, 76, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("columns", [(), (b"img", b"a dog", b"")])
def test_base64_that_is_wrapped_is_joined(write_table, width, end, columns):
    images = {f"{number}": make_image(number, "BMP") for number in (10, 20, 30)}
    rows = []
    for name, data in images.items():
        text = base64.b64encode(data)
        first, *rest = (text[start : start + width] for start in range(0, len(text), width))
        rows += [(name, *((name, *columns[1:]) if columns else ()), first), *((part,) for part in rest)]
    table = open_images(write_table(rows, end=end))
    assert table.names() == ["10", "20", "30"]
    assert {name: table.read_bytes(name) for name in images} == images
    assert table.malformed == table.repeated == []
    wrapped = 0 if width == 1000 and len(text) <= 1000 else 3
    expected = [f"{table.location}: the base64 of 3 of 3 rows is wrapped; its lines are joined"]
    assert table.notes() == (expected if wrapped else [])


def test_whole_lines_wrapped_at_a_width_are_joined(write_table):
    data = make_image(10, "BMP")
    line = b"photo-1\t" + base64.b64encode(data)
    table = open_images(write_table([(line[start : start + 76],) for start in range(0, len(line), 76)]))
    assert table.read_bytes("photo-1") == data


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_id_without_an_image_is_not_taken_for_wrapped_base64(write_table, kind):
    rows = [("1", base64.b64encode(make_image(10, kind)).rstrip(b"=")), ("2222",), ("3", base64.b64encode(b"x"))]
    table = open_images(write_table(rows))
    assert table.names() == ["1", "3"]
    assert table.malformed == [2]
    assert table.notes() == []


@pytest.mark.parametrize(("name", "ids"), [("7.jpg", ["7"]), ("7", ["7.png"]), ("7.JPEG", ["7"])])
def test_a_name_that_differs_from_the_id_by_its_suffix_is_found_and_reported(write_table, name, ids):
    images = open_images(write_table([(row, base64.b64encode(make_image(10))) for row in [*ids, "8"]]))
    assert gray_of(images, name) == 10
    assert images.notes() == [f"{images.location}: 1 image names found after ignoring the suffix"]
    for other in ("9", "9.jpg", "77.jpg"):
        with pytest.raises(ImageError, match="has no row with the id"):
            images.read_bytes(other)


def test_a_name_that_could_mean_several_ids_is_missing(write_table):
    images = open_images(write_table([(row, base64.b64encode(make_image(10))) for row in ("7.png", "7.jpg")]))
    with pytest.raises(ImageError, match="has no row with the id '7'"):
        images.read_bytes("7")
