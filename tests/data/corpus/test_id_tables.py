"""Ids of images whose file names are in a table beside the caption file."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus

CAPTIONS = "id,image_id,caption,user_id\n1,1,一只狗,5\n2,1,狗在跑,6\n3,2,两只猫,5\n4,3,一个男人,6\n"
IMAGES = [{"id": 1, "filename": "3.jpg", "width": 48}, {"id": 2, "filename": "1.jpg", "width": 48}]
IMAGES += [{"id": 3, "filename": "2.jpg", "width": 40}, {"id": 4, "filename": "4.jpg", "width": 40}]
TITLED = "图片编号,文件名,标题\n1,3.jpg,湖边的一只狗\n2,1.jpg,草地上的两只猫\n3,2.jpg,一个男人在骑车\n"
TITLED_JSON = json.dumps([{**row, "标题": "湖边的草地上有一只狗"} for row in IMAGES], ensure_ascii=False)
NOTE = "image ids replaced by the file names that {} beside the file gives them"


def as_csv(rows, separator=","):
    return "\n".join(separator.join(map(str, row)) for row in ([*rows[0]], *(row.values() for row in rows))) + "\n"


def read(write, tmp_path, name, text):
    for index in range(1, 5):
        write(f"photos/{index}.jpg", b"\xff")
    path = write("captions.csv", CAPTIONS)
    write(name, text)
    table = read_corpus(path, images=tmp_path / "photos")
    return list(table["image"]), table.attrs["files"][0]["notes"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("images.csv", as_csv(IMAGES)),
        ("photo_list.tsv", as_csv(IMAGES, "\t")),
        ("images.json", json.dumps(IMAGES)),
        ("图片.jsonl", "\n".join(map(json.dumps, IMAGES))),
        ("images.csv", TITLED),
        ("images.csv", TITLED.encode("gbk")),
        ("images.tsv", TITLED.replace(",", "\t").encode("utf-16")),
        ("images.json", TITLED_JSON.encode("gbk")),
    ],
    ids=["csv", "tsv", "json", "jsonl", "zh", "gbk", "utf-16", "json in gbk"],
)
def test_ids_are_replaced_by_the_file_names_of_the_table(write, tmp_path, name, text):
    images, notes = read(write, tmp_path, name, text)
    assert images == ["3.jpg", "3.jpg", "1.jpg", "2.jpg"]
    assert notes[NOTE.format(name)] == 3
    assert "image names completed" not in notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("images.csv", as_csv(IMAGES[:2])),  # lacks an id
        ("images.csv", as_csv([*IMAGES, {"id": 1, "filename": "4.jpg", "width": 1}])),
        ("images.csv", "id,before,after\n1,3.jpg,2.jpg\n2,1.jpg,3.jpg\n3,2.jpg,1.jpg\n"),
        ("images.json", "{"),
        ("images.parquet", "PAR1"),
        ("images.csv", TITLED.encode().replace("湖".encode(), b"\xff")),
        ("images.json", TITLED_JSON.encode().replace("湖".encode(), b"\xff", 1)),
        ("users.csv", as_csv(IMAGES)),
        ("images.csv", "id,filename\n1,1.jpg\n2,2.jpg\n3,3.jpg\n"),  # says what the ids say
    ],
)
def test_ids_stay_names_without_such_a_table(write, tmp_path, name, text):
    images, notes = read(write, tmp_path, name, text)
    assert images == ["1.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert NOTE.format(name) not in notes
