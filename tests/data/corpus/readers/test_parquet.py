"""Parquet tables of captions."""

import pandas as pd
import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CorpusError


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def reasons(table):
    return [item[1:] for item in table.attrs["skipped"]]


@pytest.fixture
def write_parquet(tmp_path):
    def write_file(name, columns):
        pd.DataFrame(columns).to_parquet(tmp_path / name)
        return tmp_path / name

    return write_file


def test_columns_and_lists_of_captions(write_parquet):
    columns = {
        "image": [{"bytes": b"\xff" * 1000, "path": "no.jpg"}] * 4,
        "filename": ["a.jpg", "b.jpg", None, "d.jpg"],
        "caption": [["one", "一只狗", ""], ["two"], ["three"], []],
        "split": ["train", "val", "test", None],
    }
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    path = write_parquet("x.parquet", {name: column * 5 for name, column in (columns | {"filename": names}).items()})
    table = read_corpus(path)
    assert rows(table, "image", "caption", "split", "line")[:4] == [
        ("a.jpg", "one", "train", 1),
        ("a.jpg", "一只狗", "train", 1),
        ("b.jpg", "two", "val", 2),
        ("c.jpg", "three", "test", 3),
    ]
    assert reasons(table)[:2] == [(1, "no caption"), (4, "no caption")]
    with pytest.raises(CorpusError, match=r"y\.parquet, row 3: the image name is missing or invalid"):
        read_corpus(write_parquet("y.parquet", columns))


def test_paths_of_embedded_images(write_parquet):
    columns = {
        "image": [{"bytes": b"\xff" * 1000, "path": "a.jpg"}, {"bytes": b"", "path": "b.jpg"}],
        "text": ["x", "y"],
    }
    assert rows(read_corpus(write_parquet("x.parquet", columns)), "image", "caption") == [
        ("a.jpg", "x"),
        ("b.jpg", "y"),
    ]
    assert list(read_corpus(write_parquet("y.parquet", {"image_id": [7, 8], "text": ["x", "y"]})).image) == ["7", "8"]
    texts = pd.Categorical(["x", "x"])
    assert list(read_corpus(write_parquet("z.parquet", {"image_id": [7, 8], "text": texts})).caption) == ["x", "x"]


def test_image_bytes_are_not_loaded(write_parquet, monkeypatch):
    import pyarrow.parquet

    requested = []
    iter_batches = pyarrow.parquet.ParquetFile.iter_batches

    def record(self, *arguments, columns=None, **options):
        requested.append(columns)
        return iter_batches(self, *arguments, columns=columns, **options)

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", record)
    read_corpus(
        write_parquet("x.parquet", {"image": [{"bytes": b"\xff", "path": "a.jpg"}], "caption": ["x"], "n": [1]})
    )
    assert {name for columns in requested for name in columns} == {"caption", "image.path"}


def test_invalid_tables_are_rejected(write, write_parquet):
    with pytest.raises(CorpusError, match=r"x\.parquet is not a readable Parquet file"):
        read_corpus(write("x.parquet", b"PAR1" + bytes(100)))
    with pytest.raises(
        CorpusError, match=r"^[^ ]*y\.parquet: expected text columns named image and caption.*found a .*, b "
    ):
        read_corpus(write_parquet("y.parquet", {"a": [1], "b": ["x"]}))
    with pytest.raises(CorpusError, match=r"z\.parquet: expected text columns.*found image \(timestamp\[\w+\]\), cap"):
        read_corpus(write_parquet("z.parquet", {"image": [pd.Timestamp(0)], "caption": ["x"]}))
    with pytest.raises(CorpusError, match=r"e\.parquet: no captions found \(0 rows skipped\)"):
        read_corpus(write_parquet("e.parquet", pd.DataFrame({"image": ["a"], "caption": ["b"]}).iloc[:0]))


def test_conversations_and_lists_of_words(write_parquet):
    turns = [[{"from": "human", "value": "描述"}, {"from": "gpt", "value": text}] for text in ("一只狗在跑", "两只猫")]
    table = read_corpus(write_parquet("x.parquet", {"image": ["a.jpg", "b.jpg"], "conversations": turns}))
    assert rows(table, "image", "caption") == [("a.jpg", "一只狗在跑"), ("b.jpg", "两只猫")]
    words = [["一只", "狗", "在", "跑"], ["两只", "猫", "睡觉"]]
    table = read_corpus(write_parquet("y.parquet", {"image": ["a.jpg", "b.jpg"], "caption": words, "n": [1.5, 2.0]}))
    assert rows(table, "image", "caption") == [("a.jpg", "一只狗在跑"), ("b.jpg", "两只猫睡觉")]
    notes = {"captions joined from lists of words": 2, "columns not read (n)": 1}
    assert table.attrs["files"][0]["notes"] == notes


def test_wide_tables_and_ambiguous_columns(write_parquet):
    columns = {"image": ["a.jpg", "b.jpg"], "caption_0": ["x y", "z w"], "caption_1": ["u v", None]}
    table = read_corpus(write_parquet("x.parquet", columns))
    assert list(table.caption) == ["x y", "u v", "z w"]
    columns = {"image": ["a.jpg"], "caption": ["一只狗"], "caption_en": ["a dog"]}
    path = write_parquet("y.parquet", columns)
    with pytest.raises(CorpusError, match=r"y\.parquet: 2 columns could be the caption: caption .*, caption_en"):
        read_corpus(path)
    assert list(read_corpus(path, caption_column=["caption_en"]).caption) == ["a dog"]


def test_rows_with_one_url_and_different_images(write_parquet, tmp_path):
    photo, other, same = b"\xff\xd8one", b"\xff\xd8two", b"\xff\xd8three"
    columns = {
        "url": ["http://e.org/a", "http://e.org/a", "http://e.org/b", "http://e.org/b"],
        "caption": ["一只狗", "两只猫", "一个人", "一个女孩"],
        "jpg": [photo, other, same, same],
    }
    table = read_corpus(write_parquet("x.parquet", columns))
    assert list(table["image"]) == ["row 1", "row 2", "http://e.org/b", "http://e.org/b"]
    assert "rows whose 'url' belongs to several images, named by their row" in table.attrs["files"][0]["notes"]
    images = open_images(str(tmp_path / "x.parquet"))
    assert [images.read_bytes(name) for name in table["image"]] == [photo, other, same, same]


def test_folder_of_a_data_set_stands_for_its_files(write_parquet, tmp_path):
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "README.md").write_text("x")
    for name, start in (
        ("train-00000-of-00002", 0),
        ("train-00001-of-00002", 9),
        ("validation-00000-of-00001", 18),
    ):
        columns = {"image": [f"{start + index}.jpg" for index in range(9)], "caption": ["一只狗"] * 9}
        write_parquet(f"set/data/{name}.parquet", columns)
    for folder in ("set", "set/data"):
        table = read_corpus(tmp_path / folder, test_fraction=0.5)
        assert dict(table["split"].value_counts()) == {"train": 18, "val": 9}
        assert len(table.attrs["files"]) == 3
    (tmp_path / "set" / "captions.csv").write_text("image,caption\na.jpg,two cats\n")
    assert len(read_corpus(tmp_path / "set")) == 1


@pytest.mark.parametrize("image", ["bytes", "objects"])
@pytest.mark.parametrize("text", ["txt", "bytes", "json", "json text"])
def test_columns_of_webdataset(write_parquet, image, text):
    keys, captions = ["000", "001"], ["一只狗在草地上跑", "两只猫在睡觉"]
    data = [b"\xff0", b"\xff1"]
    columns = {
        "__key__": keys,
        "jpg": data
        if image == "bytes"
        else [{"bytes": item, "path": f"{key}.jpg"} for item, key in zip(data, keys, strict=True)],
    }
    columns |= {
        "txt": {"txt": captions},
        "bytes": {"txt": [caption.encode() for caption in captions]},
        "json": {"json": [{"caption": caption, "url": "u"} for caption in captions]},
        "json text": {"json": [f'{{"caption": "{caption}"}}' for caption in captions]},
    }[text]
    path = write_parquet("x.parquet", columns)
    table = read_corpus(path, images=path)
    assert rows(table, "image", "caption") == list(zip(keys, captions, strict=True))
    images = open_images(str(path))
    assert [images.read_bytes(name) for name in table.image] == data


def test_paths_beside_another_column_of_names_are_reported(write_parquet):
    columns = {
        "image": [{"bytes": b"\xff", "path": "x1.jpg"}, {"bytes": b"\xfe", "path": "b.jpg"}],
        "filename": ["a.jpg", "b.jpg"],
        "caption": ["one", "two"],
    }
    table = read_corpus(write_parquet("x.parquet", columns))
    assert list(table.image) == ["a.jpg", "b.jpg"]
    assert table.attrs["files"][0]["notes"] == {"columns not read (image.path)": 1}
    columns["image"][0]["path"] = "a.jpg"
    assert not read_corpus(write_parquet("y.parquet", columns)).attrs["files"][0]["notes"]


@pytest.mark.parametrize("beside", [False, True])
def test_own_images_beside_file_names(write_parquet, tmp_path, beside):
    images = [{"bytes": b"\xff" * 1000, "path": None}, {"bytes": b"\xfe" * 1000, "path": None}]
    path = write_parquet(
        "x.parquet", {"image": images, "filename": ["a.jpg", "b.jpg"], "caption": ["一只狗", "两只猫"]}
    )
    if beside:
        (tmp_path / "a.jpg").write_bytes(b"\xff")
    table = read_corpus(path, images=tmp_path)
    assert list(table.image) == (["a.jpg", "b.jpg"] if beside else ["x.parquet/a.jpg", "x.parquet/b.jpg"])
    if not beside:
        assert open_images(str(tmp_path)).read_bytes("x.parquet/b.jpg") == b"\xfe" * 1000
    note = "images read from the file itself, since the image folder has none of their names"
    assert table.attrs["files"][0]["notes"].get(note) == (None if beside else 2)
