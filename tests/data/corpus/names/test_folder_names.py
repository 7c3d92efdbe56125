"""A column of folders beside a column of file names."""

import pytest

from caption_tx.data.corpus.table import read_corpus

DOG, CAT = "一只狗在草地上跑", "两只猫在睡觉"
BOTH = ["100N/D1.JPG", "101N/D1.JPG"]
JOINED = "image names joined with the column"
CASES = {
    "repeated names": (
        "目录,文件名,描述\n100N,D1.JPG,{}\n101N,D1.JPG,{}\n",
        BOTH,
        BOTH,
        JOINED,
    ),
    "no files": (
        "folder,filename,caption\n100N,D1.JPG,{}\n101N,D1.JPG,{}\n",
        [],
        BOTH,
        JOINED,
    ),
    "further up, Windows": (
        "path,file_name,caption\nD:\\DCIM\\100N,D1.JPG,{}\nD:\\DCIM\\101N\\,D1.JPG,{}\n",
        BOTH,
        BOTH,
        JOINED,
    ),
    "numbers": (
        "directory,image,caption\n100,1.jpg,{}\n101,1.jpg,{}\n",
        ["100/1.jpg", "101/1.jpg"],
        ["100/1.jpg", "101/1.jpg"],
        JOINED,
    ),
    "merged cells": (
        "文件夹,图片,描述\n100N,D1.JPG,{}\n,D2.JPG,两只猫\n101N,D1.JPG,{}\n",
        ["100N/D1.JPG", "101N/D1.JPG", "100N/D2.JPG"],
        ["100N/D1.JPG", "100N/D2.JPG", "101N/D1.JPG"],
        "rows without a value in the column '文件夹', read as in the row above",
    ),
    "one of two files": (
        "dir,filename,caption\n101N,D1.JPG,{}\n101N,D2.JPG,{}\n",
        ["100N/D1.JPG", "101N/D1.JPG", "101N/D2.JPG"],
        ["101N/D1.JPG", "101N/D2.JPG"],
        JOINED,
    ),
    "names are enough": (
        "目录,文件名,描述\n100N,D1.JPG,{}\n101N,D2.JPG,{}\n",
        ["D1.JPG", "D2.JPG"],
        ["D1.JPG", "D2.JPG"],
        "columns not read (目录)",
    ),
    "folder in the name": (
        "folder,filename,caption\nsub,sub/1.jpg,{}\nsub,sub/2.jpg,{}\n",
        [],
        ["sub/1.jpg", "sub/2.jpg"],
        "columns not read (folder)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_folders_and_names(write, tmp_path, case):
    content, files, expected, note = CASES[case]
    for file in files:
        write(f"photos/{file}", b"\xff")
    table = read_corpus(write("x.csv", content.format(DOG, CAT)), images=tmp_path / "photos" if files else None)
    assert list(table["image"]) == expected
    found = table.attrs["files"][0]["notes"]
    assert any(note in text for text in found), found


def test_folders_in_entries_and_a_named_column(write):
    entries = [
        {"folder": "100N", "filename": "D1.JPG", "caption": DOG},
        {"folder": "101N", "filename": "D1.JPG", "caption": CAT},
    ]
    table = read_corpus(write("x.json", entries))
    assert list(table["image"]) == BOTH
    table = read_corpus(write("x.json", entries), image_column="filename")
    assert list(table["image"]) == ["D1.JPG", "D1.JPG"]
    assert any("'folder', not told apart (such as 'D1.JPG'" in text for text in table.attrs["files"][0]["notes"])
