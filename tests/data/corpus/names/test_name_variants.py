"""Image names that are written a little differently from the files."""

import os
import unicodedata

import pytest

from caption_tx.data.corpus.names.name_ranges import list_members
from caption_tx.data.corpus.names.name_variants import find_variants
from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.images.sources import open_images

FOLDED = "full-width forms, spaces, dashes or invisible signs"
CAFE = unicodedata.normalize("NFD", "café.jpg")


@pytest.mark.parametrize(
    "file",
    [
        "Copy of IMG_1.jpg", "Copy (2) of IMG_1.jpg", "IMG_1 (1).jpg", "IMG_1(2).jpg", "IMG_1（1）.JPG", "IMG_1[1].jpg",
        "IMG_1 - Copy.jpg", "IMG_1 - Copy (2).jpg", "IMG_1 copy.jpg", "IMG_1 copy 2.jpg", "IMG_1_copy.jpg",
        "IMG_1 - 副本.jpg", "IMG_1 - 副本 (2).jpg", "IMG_1的副本.jpg", "IMG_1 的副本 2.jpg", "“IMG_1.jpg”的副本.jpg",
        "IMG_1_副本.jpg", "副本 IMG_1.jpg", "IMG_1 - 複製.jpg", "IMG_1拷贝.jpg", "IMG_1 - コピー.jpg",
        "IMG_1 (conflicted copy 2026-01-01).jpg", "IMG_1 (Li's conflicted copy 2026-01-01).jpg",
        "IMG_1 (王的冲突副本 2026-01-01).jpg", "IMG_1.sync-conflict-20260101-120000-ABC123.jpg", "mmexportIMG_1.jpg",
        "IMG_1-edited.jpg", "IMG_1-已修改.jpg", "IMG_1 - копия.jpg", "IMG_1 - Copia.jpg",
        "IMG_1 - cópia.jpg", "IMG_1 - 복사본.jpg", "IMG_1_edited.jpg", "IMG_1-已编辑.jpg", "IMG_1-已編輯.jpg",
        "IMG_1-已修圖.jpg",
        "Copy of Copy of IMG_1 (1).jpg", "IMG_1.jpg (1).jpg",
    ],
)  # fmt: skip
def test_copies_are_found_by_the_name_of_the_original_and_the_other_way_round(file):
    for name in ("IMG_1.jpg", "img_1", "IMG_1.jpeg"):
        found = find_variants([name], [file, "other.jpg", "IMG_2.jpg", "IMG_10 (1).jpg"])
        assert (found.files, found.ignored) == ({name: file}, {name: ("what copies add to a name",)})
    assert find_variants([file], ["IMG_1.jpg", "other.jpg"]).files == {file: "IMG_1.jpg"}


@pytest.mark.parametrize("file", ["IMG_1 - 王小明.jpg", "IMG_1 - Wang Li (1).jpg", "Copy of IMG_1 (1) - Wang Li.jpg"])
def test_uploads_to_google_forms_are_found(file):
    found = find_variants(["IMG_1.jpg"], [file, "other.jpg"])
    assert found.files == {"IMG_1.jpg": file}
    assert found.ignored == {"IMG_1.jpg": ("the submitter that Google Forms adds to a name",)}
    assert find_variants([file], ["IMG_1.jpg"]).files == {file: "IMG_1.jpg"}


@pytest.mark.parametrize(
    ("names", "files", "present"),
    [
        (["a.jpg"], ["a (1).jpg", "a (2).jpg"], []),
        (["a.jpg"], ["a - Wang.jpg", "a - Li.jpg"], []),
        (["a (1).jpg", "a (2).jpg"], ["a.jpg"], []),
        (["a (1).jpg"], ["a.jpg"], ["a.jpg"]),
        (["a.jpg", "Copy of a.jpg"], ["a (1).jpg"], ["a (1).jpg"]),
        (["a.jpg"], ["a (1).png"], []),
        (["x/a.jpg"], ["y/a (1).jpg"], []),
        (["a.jpg"], ["a - 1.jpg", "a2 (1).jpg", "b - a.jpg"], []),
        (["(1).jpg"], ["a (1).jpg", "a.jpg"], []),
    ],
)
def test_copies_of_other_images_are_not_taken(names, files, present):
    assert find_variants(names, files, present).files == {}


@pytest.mark.parametrize(
    ("name", "file", "ignored"),
    [
        ("IMG_1.jpg", "IMG_1.JPG", ("case",)),
        ("img_1.JPG", "IMG_1.JPG", ("case",)),
        ("sub\\a.jpg", "sub/a.jpg", ("backslashes",)),
        (".\\sub\\a.jpg", "sub/a.jpg", ("backslashes",)),
        ("C:\\data\\a.jpg", "a.jpg", ("backslashes", "folder")),
        ("images/a.jpg", "a.jpg", ("folder",)),
        ("/home/me/data/train/a.jpg", "train/a.jpg", ("folder",)),
        ("a.jpg", "train/a.jpg", ("folder",)),
        ("Train/a.jpg", "images/train/A.jpg", ("case", "folder")),
        (CAFE, "café.jpg", ("Unicode form",)),
        ("café.jpg", CAFE, ("Unicode form",)),
        ("https://example.org/img/a%20b.jpg?width=300", "a b.jpg", ("URL", "percent signs")),
        ("http://example.org/a.jpg", "a.jpg", ("URL",)),
        ("file:///home/me/a.jpg", "a.jpg", ("URL",)),
        ("%E7%8B%97.jpg", "狗.jpg", ("percent signs",)),
        ("a%2520b.jpg", "a b.jpg", ("percent signs",)),
        ("a&amp;b.jpg", "a&b.jpg", ("HTML entities",)),
        ("dog.jpg", " dog.jpg", ("spaces",)),
        ("My photos/cat.jpg", " My photos/cat.jpg", ("spaces",)),
        ("a.jpeg", "a.jpg", ("suffix",)),
        ("a\xa0b.jpg", "a b.jpg", (FOLDED,)),
        ("狗\u30001.jpg", "狗 1.jpg", (FOLDED,)),
        ("a.jpg\u200b", "a.jpg", (FOLDED,)),
        ("ＩＭＧ＿１.jpg", "img_1.jpg", (FOLDED,)),
        ("img-2.jpg", "img\u20132.jpg", (FOLDED,)),
        ("a\xa0b", "x/a b.jpg", (FOLDED, "folder", "suffix")),
        ("1", "000000000001.jpg", ("leading zeros", "suffix")),
        ("1.jpg", "0001.jpg", ("leading zeros",)),
        ("0001.jpg", "1.jpg", ("leading zeros",)),
        ("42", "val2014/COCO_val2014_000000000042.jpg", ("leading zeros", "folder", "suffix")),
        ("1.0", "1.jpg", ("leading zeros", "suffix")),
        ("a.png", "a.webp", ("suffix",)),
    ],
)
def test_a_unique_match_is_found(name, file, ignored):
    found = find_variants([name], [file, "other.jpg", "sub/b.png"])
    assert found.files == {name: file}
    assert found.ignored == {name: ignored}


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["cats/1.jpg"], ["dogs/1.jpg"]),  # another folder
        (["1.jpg"], ["cats/1.jpg", "dogs/1.jpg"]),
        (["cats/1.jpg", "dogs/1.jpg"], ["1.jpg"]),
        (["https://a.org/cats/1.jpg", "https://a.org/dogs/1.jpg"], ["1.jpg"]),
        (["a.png", "a.gif"], ["a.jpg"]),
        (["a.jpg"], ["A.jpg", "a.JPG"]),
        (["a1.jpg"], ["a.jpg", "a11.jpg"]),
        (["1"], ["01.jpg", "001.jpg"]),
        (["1", "01"], ["001.jpg"]),
        (["1"], ["IMG_0001.jpg", "10.jpg", "a1.jpg"]),
    ],
)
def test_names_that_could_mean_another_image_are_not_matched(names, files):
    assert find_variants(names, files).files == {}


def test_the_closest_folder_wins_and_an_image_of_its_own_is_not_taken():
    assert find_variants(["x/cats/1.jpg"], ["cats/1.jpg", "dogs/1.jpg", "1.jpg"]).files == {
        "x/cats/1.jpg": "cats/1.jpg"
    }
    assert find_variants(["cats/1.jpg"], ["1.jpg"], present=["1.jpg"]).files == {}
    assert find_variants(["A.jpg", "a.JPG"], ["a.jpg"]).files == {"A.jpg": "a.jpg", "a.JPG": "a.jpg"}


def test_names_of_a_zip_archive_that_was_extracted_in_the_wrong_encoding(write, tmp_path):
    garbled = "狗狗照片.jpg".encode("gbk").decode("cp437")
    write(f"photos/{garbled}", b"\xff")
    table = read_corpus(write("a.csv", "image,caption\n狗狗照片.jpg,一只狗\n"), images=tmp_path / "photos")
    assert list(table.image) == [garbled]
    (note,) = table.attrs["files"][0]["notes"]
    assert "extract it with `unzip -O GBK`" in note


def test_names_are_found_and_reported_per_source(write, tmp_path):
    for index in range(4):
        write(f"photos/IMG_{index}.JPG", b"\xff")
    path = write("a.csv", "image,caption\n" + "".join(f"IMG_{index}.jpg,一只狗\n" for index in range(4)))
    other = write("b.csv", "image,caption\nphotos\\img_0.JPG,a\nIMG_1.JPG,b\ngone.jpg,c\n")
    table = read_corpus([path, other], images=tmp_path / "photos")
    assert list(table.image) == [*(f"IMG_{index}.JPG" for index in range(4)), "IMG_0.JPG", "IMG_1.JPG", "gone.jpg"]
    first, second = (file["notes"] for file in table.attrs["files"])
    assert first == {"image names found after ignoring case (of 4 missing)": 4}
    assert second["image names found after ignoring backslashes and case and folder (of 2 missing)"] == 1
    (lost,) = (text for text in second if "without a file" in text)
    assert "such as 'gone.jpg', also tried without regard to backslashes" in lost


def test_caption_files_with_chinese_names_find_files_in_gbk(write, tmp_path):
    os.mkdir(tmp_path / "photos")
    with open(os.fsencode(tmp_path / "photos") + b"/" + "狗.jpg".encode("gbk"), "wb") as file:
        file.write(b"\xff")
    table = read_corpus(write("a.csv", "image,caption\n狗.jpg,一只狗\n"), images=tmp_path / "photos")
    assert list(table.image) == ["狗.jpg"]
    assert list(table.attrs["files"][0]["notes"].values()) == [1]


def test_a_gbk_name_that_is_valid_utf8_by_chance_is_found(tmp_path, write):
    name = "小猫.png".encode("gbk").decode()
    write(f"photos/{name}", b"\xff")
    table = read_corpus(write("a.csv", "image,caption\n小猫.png,一只猫\n"), images=tmp_path / "photos")
    assert list(table.image) == ["小猫.png"]
    assert list(table.attrs["files"][0]["notes"].values()) == [1]


def test_names_of_a_folder_in_gbk_agree_with_captions_of_another_case(tmp_path, write):
    for name in ("动物/图1.jpg", "动物/狗.jpg", "图2.jpg"):
        path = os.fsdecode(os.fsencode(tmp_path / "photos") + b"/" + name.encode("gbk"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"\xff")
    captions = "image,caption\n动物\\图1.JPG,一只狗\n动物/狗,一只狗\n图2.JPG,一只猫\n"
    table = read_corpus(write("a.csv", captions), images=tmp_path / "photos")
    assert list(table.image) == ["动物/图1.jpg", "动物/狗.jpg", "图2.jpg"]
    notes = table.attrs["files"][0]["notes"]
    assert not any("without a file" in note for note in notes)
    assert [count for note, count in notes.items() if "read as GBK" in note] == [3]
    assert sorted(open_images(str(tmp_path / "photos")).names()) == sorted(table.image)


def test_ids_that_a_spreadsheet_turned_into_floats(write, tmp_path):
    write("photos/1.jpg", b"\xff")
    write("photos/20.jpg", b"\xff")
    path = write("a.csv", "image_id,caption\n1.0,一只狗\n20.0,一只猫\n")
    table = read_corpus(path, images=tmp_path / "photos")
    assert list(table.image) == ["1.jpg", "20.jpg"]
    assert table.attrs["files"][0]["notes"]["image ids that end in .0 read as whole numbers"] == 2
    assert list(read_corpus(write("b.csv", "image_id,caption\n1.0,一只狗\n2.5,一只猫\n")).image) == ["1.0", "2.5"]


def test_numbers_of_a_list_are_ignored():
    found = find_variants(["1. a.jpg", "2、B.jpg", "3) a.jpg", "4 c.jpg", "5. 6.jpg"], ["a.jpg", "b.jpg", "5. 6.jpg"])
    assert found.files == {"1. a.jpg": "a.jpg", "2、B.jpg": "b.jpg", "3) a.jpg": "a.jpg", "5. 6.jpg": "5. 6.jpg"}
    assert found.ignored["1. a.jpg"] == ("the number before it",)
    assert found.ignored["2、B.jpg"] == ("the number before it", "case")
    assert find_variants(["1. a.jpg"], ["2. a.jpg"]).files == {}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("DSC_0101-0103.jpg", "DSC_0101.jpg DSC_0102.jpg DSC_0103.jpg"),
        ("x/DSC_0101~03.jpg", "x/DSC_0101.jpg x/DSC_0102.jpg x/DSC_0103.jpg"),
        ("DSC_0101.jpg - DSC_0103.jpg", "DSC_0101.jpg DSC_0102.jpg DSC_0103.jpg"),
        ("DSC_0101～DSC_0102", "DSC_0101 DSC_0102"),
        ("8-10", "8 9 10"),
        ("001至003", "001 002 003"),
        ("图1到图3.png", "图1.png 图2.png 图3.png"),
        ("2021-05-01_001-002.jpg", "2021-05-01_001.jpg 2021-05-01_002.jpg"),
        ("p (1)-(2).jpg", "p_(1).jpg p_(2).jpg"),
        ("a.jpg, b.png", "a.jpg b.png"),
        ("a.jpg b.jpg", "a.jpg b.jpg"),
        ("1-2,5.jpg", "1.jpg 2.jpg 5.jpg"),
        ("a1、a2", "a1 a2"),
        ("DSC_0101、02.jpg", "DSC_0101.jpg 02.jpg|DSC_0102.jpg"),
        ("2021-05.jpg", ""),  # not ascending
        ("3-3.jpg", ""),
        ("1-2000000.jpg", ""),
        ("a-b.jpg", ""),
        ("photo_to_1.jpg", ""),
        ("1.jpg-2.png", ""),
        ("550e8400-e29b-41d4.jpg", ""),
    ],
)
def test_ranges_and_lists_of_names(name, members):
    found = [[form.replace(" ", "_") for form in forms] for forms in list_members(name)]
    assert found == [forms.split("|") for forms in members.split()]


def test_captions_of_ranges_are_read_for_each_image(tmp_path):
    for name in ("DSC_0101.jpg", "DSC_0102.JPG", "DSC_0104.jpg", "s/1.jpg", "s/2.jpg", "1-2.jpg", "7.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"")
    lines = [
        "DSC_0101-0104.jpg,一只狗,train",
        "s/1~2,两只猫,val",
        "1-2.jpg,一个人,train",
        "5-9.jpg,一条路,train",
        "7;8,x,val",
    ]
    (tmp_path / "x.csv").write_text("image,caption,split\n" + "\n".join(lines), encoding="utf-8")
    table = read_corpus(tmp_path / "x.csv", images=tmp_path / "photos")
    assert table[["image", "caption", "split", "line"]].to_numpy().tolist() == [
        ["DSC_0101.jpg", "一只狗", "train", 2],
        ["DSC_0102.JPG", "一只狗", "train", 2],
        ["DSC_0104.jpg", "一只狗", "train", 2],
        ["s/1.jpg", "两只猫", "val", 3],
        ["s/2.jpg", "两只猫", "val", 3],
        ["1-2.jpg", "一个人", "train", 4],  # the file of this name
        ["5-9.jpg", "一条路", "train", 5],
        ["7;8", "x", "val", 6],
    ]
    notes = table.attrs["files"][0]["notes"]
    note = "image names that stand for several images, each of which gets the captions (such as 'DSC_0101-0104.jpg')"
    assert notes[note] == 2
    assert notes["images of these names without a file, left out"] == 1
    assert any("'5-9.jpg'" in text and text.endswith("as a range or list of names)") for text in notes)


def test_uploads_of_a_form_are_read_with_a_report(tmp_path):
    folder = tmp_path / "photos" / "Photo (File responses)"
    folder.mkdir(parents=True)
    for number, submitter in enumerate(("王小明", "Wang Li", "李四")):
        (folder / f"IMG_{number} - {submitter}.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "captions.csv").write_text(
        "image,caption\n" + "".join(f"IMG_{number}.jpg,第{number}只狗\n" for number in range(3))
    )
    table = read_corpus(tmp_path / "captions.csv", images=tmp_path / "photos")
    assert table["image"].iloc[0] == "Photo (File responses)/IMG_0 - 王小明.jpg"
    [note] = table.attrs["files"][0]["notes"].items()
    assert note == (
        "image names found after ignoring the submitter that Google Forms adds to a name (of 3 missing)",
        3,
    )


@pytest.mark.parametrize(
    "link",
    [
        "https://drive.google.com/open?id=1aBc_-{}", "https://drive.google.com/file/d/1aBc{}/view?usp=sharing",
        "https://drive.google.com/uc?export=view&id=1aBc{}", "https://1drv.ms/i/s!Abc{}",
        "https://pan.baidu.com/s/1abc{}", "https://x-my.sharepoint.com/:i:/g/personal/abc{}",
        "https://abc.feishu.cn/file/boxcn{}",
    ],
)  # fmt: skip
def test_links_without_file_names_are_explained(tmp_path, link):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"\xff\xd8")
    rows = "".join(f"{link.format(number)},第{number}只狗\n" for number in range(3))
    (tmp_path / "captions.csv").write_text(f"image,caption\n{rows}")
    [(note, count)] = (
        read_corpus(tmp_path / "captions.csv", images=tmp_path / "photos").attrs["files"][0]["notes"].items()
    )
    assert note.startswith(f"links to shared files (such as '{link.format(0)}'), which do not contain the names")
    assert count == 3


@pytest.mark.parametrize("name", ["001. jpg", "001 .jpg", "001 . jpg", "sub/001. JPG"])
def test_spaces_around_the_dot_are_ignored(name):
    file = f"{'sub/' if '/' in name else ''}001.jpg"
    found = find_variants([name], [file, "002.jpg"])
    assert found.files == {name: file}
    assert found.ignored[name][:1] == ("spaces around the dot",)


def test_spaces_around_the_dot_of_a_file_and_two_files_that_differ_in_them():
    assert find_variants(["001.jpg"], ["001 .jpg"]).files == {"001.jpg": "001 .jpg"}
    assert not find_variants(["001. jpg"], ["001.jpg", "001 .jpg"]).files
