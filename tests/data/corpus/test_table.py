"""The caption table: columns, attributes and errors."""

import json

import pytest

from caption_tx.config import CorpusConfig
from caption_tx.data.corpus.summary import summarize_corpus
from caption_tx.data.corpus.table import captions_by_image, read_corpus, read_table
from caption_tx.errors import CorpusError

CHINESE = (
    "1000_a.jpg#zhc#0 一个穿着泳装的女人。\n"
    "2000_b.jpg#zhc#0 一对恋人在公园河边拥抱。\n"
    "1000_a.jpg#zhc#1  女人躺在海水里。 \n"
    "3000_c.jpg#zhc#0 两只狗在跑。\n"
)


def test_columns(write):
    path = write("a.csv", "image,caption,split\na.jpg,one,train\nb.jpg,two,val\n")
    table = read_corpus(f"{path}:weight=0.5,stage=2,origin=machine")
    assert table.to_dict("list") == {
        "image": ["a.jpg", "b.jpg"],
        "caption": ["one", "two"],
        "split": ["train", "val"],
        "origin": ["machine"] * 2,
        "weight": [0.5] * 2,
        "stage": [2] * 2,
        "source": [str(path)] * 2,
        "line": [2, 3],
    }


def test_read_table_uses_the_settings(write):
    write("photos/1.jpg", b"\xff")
    path = write("a.txt", "".join(f"{index}\tx\n" for index in range(100)))
    config = CorpusConfig(
        sources=(str(path),),
        format="pairs",
        images=str(path.parent / "photos"),
        val_fraction=0.3,
        test_fraction=0.2,
        split_seed=3,
    )
    expected = read_corpus(path, "pairs", 0.3, 0.2, 3, path.parent / "photos")
    table = read_table(config, "zh")
    assert table.equals(expected)
    assert table["image"][1] == "1.jpg"


def test_table_supports_pandas_operations(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n")
    table = read_corpus([write("flickr8kzhc.caption.txt", CHINESE), write("b.csv", "image,caption\n9.jpg,x\n")])
    assert [name for name in table.attrs] == ["skipped", "left_out", "files", "missing", "image_notes"]
    part = table[table["split"] == "train"]
    assert part.attrs["left_out"] == table.attrs["left_out"] == ["3000_c.jpg"]
    assert dict(table["split"].value_counts()) == {"train": 3, "val": 1}
    assert table.groupby("split")["image"].nunique().to_dict() == {"train": 2, "val": 1}
    assert table.groupby(["source", "split"]).size().sum() == 4
    assert table["origin"].unique().tolist() == ["human"]
    assert json.loads(json.dumps(table.attrs)) == table.attrs


def test_attrs_are_not_copied_with_every_column(write):
    path = write("a.csv", "image,caption\na.jpg,one\n" + "\n" * 1000)
    table = read_corpus(path)
    assert table["image"].attrs["skipped"] is table.attrs["skipped"]


def test_captions_by_image_keeps_the_order(write):
    text = "image,caption,split\nb.jpg,1,train\na.jpg,2,train\nb.jpg,3,train\nc.jpg,4,val\n"
    table = read_corpus([write("a.csv", text), write("b.txt", "a.jpg#zhb#0 5")])
    assert captions_by_image(table, "train") == {"b.jpg": ["1", "3"], "a.jpg": ["2", "5"]}
    assert captions_by_image(table, "train", "machine") == {"a.jpg": ["5"]}
    assert captions_by_image(table, "test") == {}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"a.jpg#zhc#0 ok\nb.jpg#zhc#0 \xff\xff\n", r"a\.txt, line 2: not UTF-8"),
        ("a.txt", "a.jpg#0\tone\nhello\n", r"a\.txt, line 2: expected .*found 'hello'"),
        (
            "a.txt",
            "nothing known\n",
            r"a\.txt: unknown caption format \(the file starts with 'nothing known'\); .*: NAME.*data\.md\)\.$",
        ),
        ("a.txt", "", "unknown caption format"),
        ("a.txt", "a.jpg#0\t\n", r"no captions found \(1 lines skipped: 1 no caption\)"),
        ("a.txt", "\0#0\tone\n", r"line 1: the image name is missing or invalid"),
        ("a.csv", "one,two\n", r"a\.csv, line 1: expected a header with 'image' and 'caption'.*'one,two'"),
        ("a.csv", "image,caption,id\na.jpg,one,two,3\n", r"line 2: 4 fields, but the header has 3; quote"),
        ("a.csv", 'image,caption\na.jpg,x\nb.jpg,"one\n', r"line 3: .*double quotes"),
        ("a.csv", "image,caption\n,one\n", r"a\.csv, line 2: the image name is missing or invalid"),
        (
            "a.csv",
            "image,caption,split\na.jpg,one,best\n",
            r"a\.csv, line 2: unknown split 'best'; use train, val",
        ),
        (
            "a.csv",
            "image,caption,split\na,one,val\na,two,dev\na,3,test\n",
            r"line 4: a is in test here but in val at .*2",
        ),
        ("a.csv", "image,caption\na.jpg," + "x" * 200_000, r"line 2: field larger than field limit"),
        ("a.json", '[{"image_id": "a", "caption": ["x"]}, 7]', r"a\.json, entry 2: expected .*found '7'"),
        ("a.json", '[{"image_id": "a"}]', "entry 1"),
        ("a.json", '[{"image_id": "\\ud800", "caption": "x"}]', "entry 1"),
        ("a.json", '[{"image_id": "a", "caption": [7]}]', "entry 1: a caption must be a string, found '7'"),
        ("a.json", "[]", "no captions found"),
    ],
)
def test_errors_name_file_and_line(write, name, content, message):
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(name, content))


def test_published_flickr8k_cn(shared):
    folder = shared / "data" / "flickr8k"
    table = read_corpus([folder / "flickr8kzhc.caption.txt", folder / "flickr8kzhb.caption.txt"])
    summary = summarize_corpus(table)
    assert summary["splits"] == {
        "train": {"images": 6000, "captions": 60_000},
        "val": {"images": 1000, "captions": 10_000},
    }
    assert summary["origins"] == {"human": 35_000, "machine": 35_000}
    assert {len(captions) for captions in captions_by_image(table, "val", "human").values()} == {5}
    assert (table.attrs["skipped"], table.attrs["left_out"]) == ([], [])
    assert summarize_corpus(table)["machine_references"] == 5000
