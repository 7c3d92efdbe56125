"""Folders of images with text files of the same name."""

import json
import os

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


def read(path, format=None, **options):
    return read_corpus(Source(str(path), format, **options))


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def notes(table):
    return table.attrs["files"][0]["notes"]


def test_images_with_text_files(write, tmp_path):
    folder = tmp_path / "photos"
    for name in (
        "b.JPG",
        "a.png",
        "sub/c.jpeg",
        "sub/deep/d.webp",
        "without.jpg",
        "two.jpg",
        "two.png",
        ".hidden.jpg",
        ".git/e.jpg",
        "@eaDir/a.png/THUMB.jpg",
        "#recycle/r.jpg",
    ):
        write(f"photos/{name}", b"\xff")
    write("photos/a.txt", "一只狗\n\n 两只狗 \n")
    write("photos/b.caption", "b")
    write("photos/sub/c.txt", "三只狗".encode("gbk"))
    write("photos/sub/deep/d.txt", "四只猫在草地上".encode("utf-16"))
    write("photos/two.txt", "which?")
    write("photos/sub/notes.txt", "no image of this name")
    write("photos/.hidden.txt", "hidden")
    write("photos/.git/e.txt", "hidden")
    write("photos/#recycle/r.txt", "deleted")
    table = read(folder)
    assert rows(table, "image", "caption", "line") == [
        ("a.png", "一只狗", 1),
        ("a.png", "两只狗", 3),
        ("b.JPG", "b", 1),
        ("sub/c.jpeg", "三只狗", 1),
        ("sub/deep/d.webp", "四只猫在草地上", 1),
    ]
    assert set(table.source) == {str(folder)}
    assert table.attrs["skipped"] == [
        (str(folder / "two.txt"), 1, "text file with several images of the same name"),
        (str(folder / "sub/notes.txt"), 1, "text file with no image of the same name"),
        (str(folder / "a.txt"), 2, "blank line"),
    ]
    assert table.attrs["files"][0]["encoding"] == "gb18030, utf-16, utf-8"
    assert table.attrs["files"][0]["format"] == "folder"
    assert read(folder, format="folder").equals(table)
    left_out = "images left out that are hidden or in a folder of the system (such as '#recycle/r.jpg')"
    assert notes(table) == {"images without a text file": 1, left_out: 4}


def test_text_files_without_a_caption_are_skipped(write, tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "sub/e.jpg", "sub/e.png"):
        write(f"photos/{name}", b"\xff")
    write("photos/a.txt", "one")
    write("photos/b.txt", "")
    write("photos/c.txt", " \n\n")
    table = read(folder)
    assert list(table.image) == ["a.jpg"]
    assert table.attrs["skipped"] == [(str(folder / name), 1, "no caption") for name in ("b.txt", "c.txt")]
    assert notes(table) == {"images without a text file": 3}


def test_each_folder_is_listed_once(write, tmp_path, monkeypatch):
    for index in range(30):
        write(f"photos/{index % 3}/{index}.jpg", b"\xff")
        write(f"photos/{index % 3}/{index}.txt", "x")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(os.fspath(path)) or scandir(path))
    assert len(read(tmp_path / "photos", format="folder")) == 30
    assert len(listed) == 4


def test_other_encodings_are_detected_together(write, tmp_path):
    folder = tmp_path / "photos"
    for index in range(20):
        write(f"photos/{index}.jpg", b"\xff")
        write(f"photos/{index}.txt", "一只狗")
    write("photos/7.txt", "公園".encode("big5"))
    write("photos/8.txt", "兩隻狗在公園裡奔跑".encode("big5"))
    assert {"公園", "兩隻狗在公園裡奔跑", "一只狗"} == set(read(folder).caption)
    write("photos/8.txt", "一只狗")
    write("photos/7.txt", b"\xff\xfd\x80\x80")
    table = read(folder)
    assert len(table) == 19
    assert table.attrs["skipped"] == [(str(folder / "7.txt"), 1, "unknown encoding")]
    for index in range(10, 13):
        write(f"photos/{index}.txt", b"\x81")
    with pytest.raises(CorpusError, match=r"photos/10\.txt, line 1: .*UTF-8, like the others \(4 of 20 lines"):
        read(folder)
    with pytest.raises(CorpusError, match=r"photos/0\.txt, line 1: not ASCII .*photos:encoding=utf-8'\) \(20 of 20"):
        read(folder, encoding="ascii")


def test_folder_without_captions(write, tmp_path):
    write("photos/a.jpg", b"\xff")
    write("photos/b.txt", "no image")
    with pytest.raises(CorpusError, match="No caption file was recognized in"):
        read(tmp_path / "photos")
    with pytest.raises(
        CorpusError,
        match=r"photos: no captions found \(1 lines skipped: 1 text file with no image",
    ):
        read(tmp_path / "photos", format="folder")


@pytest.mark.parametrize("names", [["p0.jpg.txt"], ["p0.jpg.txt", "p1.txt"], ["p0.jpg.caption", "p1.JPG.txt"]])
def test_text_files_may_keep_the_suffix_of_the_image(write, tmp_path, names):
    for name in names:
        write(f"photos/{name}", "一只狗在跑\n")
        write(f"photos/{name[:2]}.{'JPG' if 'JPG' in name else 'jpg'}", b"\xff")
    table = read(tmp_path / "photos")
    assert len(table) == len(names)
    assert table.attrs["skipped"] == []
    assert notes(table) == {}


def test_the_suffix_in_a_text_file_selects_one_of_two_images(write, tmp_path):
    for name in ("a.jpg", "a.png"):
        write(f"photos/{name}", b"\xff")
        write(f"photos/{name}.txt", f"the {name[2:]} file\n")
    assert rows(read(tmp_path / "photos"), "image", "caption") == [("a.jpg", "the jpg file"), ("a.png", "the png file")]


def test_spaces_in_names_from_the_disk_are_kept(write, tmp_path):
    for name in (" dog", " My photos/cat ", "ok"):
        write(f"photos/{name}.jpg", b"\xff")
        write(f"photos/{name}.txt", "一只狗在跑\n")
    table = read_corpus(tmp_path / "photos", images=tmp_path / "photos")
    assert sorted(table.image) == [" My photos/cat .jpg", " dog.jpg", "ok.jpg"]
    assert notes(table) == {}


def test_names_in_gbk_are_read(tmp_path):
    os.mkdir(tmp_path / "photos")
    for name in ("狗.jpg", "狗.txt", "马.png", "马.png.txt"):
        with open(os.fsencode(tmp_path / "photos") + b"/" + name.encode("gbk"), "w") as file:
            file.write("一只狗在跑\n")
    table = read_corpus(tmp_path / "photos", images=tmp_path / "photos")
    assert sorted(table.image) == ["狗.jpg", "马.png"]
    assert notes(table) == {"file names that are not UTF-8, read as GBK (`convmv -f gbk -t utf8` renames them)": 2}


def test_unreadable_pictures_are_counted_and_a_raw_file_beside_a_photograph_is_ignored(write, tmp_path):
    for name in ("a.jpg", "a.cr2", "b.jxl", "c.svg"):
        write(f"photos/{name}", b"\xff")
    for name in ("a", "b"):
        write(f"photos/{name}.txt", "一只狗在跑\n")
    table = read(tmp_path / "photos")
    assert list(table.image) == ["a.jpg", "b.jxl"]
    (note,) = notes(table)
    assert note.startswith("3 picture files cannot be read")
    assert "convert .cr2, .jxl, .svg to JPEG or PNG" in note


@pytest.mark.parametrize("encodings", [("gbk", "utf-8"), ("gbk", "gbk"), ("utf-8", "gbk")])
def test_images_and_texts_whose_names_have_different_encodings(tmp_path, encodings):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, sentence in (("猫", "两只猫"), ("狗", "一只狗"), ("小帽子", "一顶帽子")):
        for suffix, encoding, content in ((".jpg", encodings[0], "x"), (".txt", encodings[1], sentence)):
            with open(os.fsencode(folder) + b"/" + f"{name}{suffix}".encode(encoding), "w", encoding="utf-8") as file:
                file.write(content)
    table = read_corpus(folder, images=folder)
    found = dict(zip(table.image, table.caption, strict=True))
    assert found == {"猫.jpg": "两只猫", "狗.jpg": "一只狗", "小帽子.jpg": "一顶帽子"}
    expected = 3 if encodings[0] == "gbk" else 0
    assert sum(count for note, count in notes(table).items() if "not UTF-8" in note) == expected


def _label(name, text):
    return json.dumps({"version": "2.4.4", "shapes": [], "imagePath": name, "description": text}, ensure_ascii=False)


def test_json_that_names_another_image_is_read_for_the_image_beside_it(write, tmp_path):
    for at, (image, name) in enumerate(
        [("f0", "f1.png"), ("f1", "../photos/F1.png"), ("f2", "f2.jpg"), ("f3", "g.png")]
    ):
        write(f"{image}.png", b"\x89PNG")
        write(f"{image}.json", _label(name, f"第{at}只狗在草地上"))
    table = read_corpus(tmp_path, text_suffix=".json")
    assert sorted(table["image"]) == ["f0.png", "f1.png", "f2.png", "f3.png"]
    assert table.set_index("image")["caption"]["f0.png"] == "第0只狗在草地上"
    note = (
        "JSON files that name another image than the one beside them, which is read (such as 'f1.png' beside 'f0.png')"
    )
    assert table.attrs["files"][0]["notes"][note] == 2


def test_names_that_differ_in_case_spaces_or_unicode_form(write, tmp_path):
    pairs = {
        "IMG_1.JPG": "img_1.txt",
        "e\u0301tude.jpg": "\u00e9tude.txt",
        " x.png": "x.png.txt",
        "Cafe.jpg": "Cafe.txt",
    }
    for number, (image, text) in enumerate(pairs.items()):
        write(f"photos/{image}", b"\xff")
        write(f"photos/{text}", f"caption {number}")
    write("photos/cafe.txt", "another text")
    table = read(tmp_path / "photos")
    assert sorted(rows(table, "image", "caption")) == sorted(
        (image, f"caption {number}") for number, image in enumerate(pairs)
    )
    assert [reason for *_, reason in table.attrs["skipped"]] == ["text file with no image of the same name"]
    similar = {text: count for text, count in notes(table).items() if "differ" in text}
    assert list(similar.values()) == [3] and "such as 'img_1.txt' beside 'IMG_1.JPG'" in next(iter(similar))


def test_text_files_that_all_differ_in_case_are_no_caption_files(write, tmp_path):
    for number in (1, 2):
        write(f"photos/IMG_{number}.JPG", b"\xff")
        write(f"photos/img_{number}.txt", "一只狗在草地上跑")
    assert list(read(tmp_path / "photos").image) == ["IMG_1.JPG", "IMG_2.JPG"]
