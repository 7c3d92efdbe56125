"""Sources into one table: names of images, splits, weights and origins, and what is said about a bad file."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caption_tx.config import ORIGINS, SPLITS, Source, TextConfig
from caption_tx.data.corpus.summary import format_summary, summarize_corpus
from caption_tx.data.corpus.table import (
    captions_by_image,
    machine_references,
    read_corpus,
)
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.errors import ConfigError, CorpusError

CHINESE = (
    "1000_a.jpg#zhc#0 一个穿着泳装的女人。\n"
    "2000_b.jpg#zhc#0 一对恋人在公园河边拥抱。\n"
    "1000_a.jpg#zhc#1  女人躺在海水里。 \n"
    "3000_c.jpg#zhc#0 两只狗在跑。\n"
)
ENGLISH = (
    "1000_a.jpg#0\tA child in a pink dress .\n"
    "1000_a.jpg#1\tA girl #2 going into a building .\n"
    "2258277193_586949ec62.jpg.1#0\tsome people\n"
)
CHALLENGER = [
    {"url": "http://x/1", "image_id": "aa.jpg", "caption": ["一个男人", "一位男士", "", "男人在走", "走路的人"]},
    {"url": "http://x/2", "image_id": "bb.jpg", "caption": ["两个女人", "\ud800"]},
    {"url": "http://x/3", "image_id": "cc.jpg", "caption": []},
]
COLUMNS = ["image", "caption", "split", "origin", "weight", "stage", "source", "line"]


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, content: str | bytes | list | dict) -> Path:
        content = json.dumps(content) if isinstance(content, (list, dict)) else content
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / name

    return write_file


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def test_flickr8k_cn_with_split_lists(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n\n")
    path = write("flickr8kzhc.caption.txt", CHINESE)
    table = read_corpus(path)
    assert list(table.columns) == COLUMNS
    assert rows(table, "image", "caption", "split", "line") == [
        ("1000_a.jpg", "一个穿着泳装的女人。", "train", 1),
        ("2000_b.jpg", "一对恋人在公园河边拥抱。", "val", 2),
        ("1000_a.jpg", "女人躺在海水里。", "train", 3),
    ]
    assert set(table["source"]) == {str(path)}
    assert table.attrs["skipped"] == []
    assert table.attrs["left_out"] == ["3000_c.jpg"]


def test_classic_flickr8k_with_split_lists(write):
    write("Flickr_8k.trainImages.txt", "1000_a.jpg\r\n")
    write("Flickr_8k.devImages.txt", "9.jpg\r\n")
    write("Flickr_8k.testImages.txt", "")
    table = read_corpus(write("Flickr8k.token.txt", ENGLISH.replace("\n", "\r\n")))
    assert rows(table, "image", "caption", "split") == [
        ("1000_a.jpg", "A child in a pink dress .", "train"),
        ("1000_a.jpg", "A girl #2 going into a building .", "train"),
    ]
    assert table.attrs["left_out"] == ["2258277193_586949ec62.jpg.1"]


def test_split_lists_take_the_prefix_of_the_caption_file(write):
    write("flickr30ktrain.txt", "1000_a\n2000_b")
    write("flickr8kval.txt", "2000_b\n")
    table = read_corpus(write("flickr30kzhb.caption.txt", CHINESE.replace("zhc", "zhb")))
    assert rows(table.drop_duplicates("image"), "image", "split") == [("1000_a.jpg", "train"), ("2000_b.jpg", "train")]


@pytest.mark.parametrize(
    ("tag", "origin"),
    [
        *((tag, "human") for tag in ("enc", "zhc", "zhm", "zhmJan")),
        *((tag, "machine") for tag in ("zhb", "zhg", "zhbDec", "zhbJan", "zhg2")),
    ],
)
def test_the_tag_tells_people_from_machines(write, tag, origin):
    assert list(read_corpus(write("x.txt", f"a.jpg#{tag}#0 词")).origin) == [origin]


def test_ai_challenger(write):
    path = write("caption_train_annotations.json", CHALLENGER)
    table = read_corpus(path)
    assert rows(table, "image", "caption", "line")[3:] == [("aa.jpg", "走路的人", 1), ("bb.jpg", "两个女人", 2)]
    source = str(path)
    assert table.attrs["skipped"] == [
        (source, 1, "no caption"),
        (source, 2, "not valid Unicode"),
        (source, 3, "no caption"),
    ]


def test_csv_with_quotes_commas_and_line_breaks(write):
    text = 'image,caption\na.jpg,"one, ""two""\nthree"\n\nb.jpg,four\nc.jpg,\nd.jpg\n'
    table = read_corpus(write("captions.txt", text))
    assert rows(table, "image", "caption", "line") == [("a.jpg", 'one, "two"\nthree', 2), ("b.jpg", "four", 5)]
    assert [item[1:] for item in table.attrs["skipped"]] == [(4, "blank line"), (6, "no caption"), (7, "no caption")]


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("val", "val"), ("Validation", "val"), ("dev", "val"), (" test ", "test")],
)
def test_names_of_splits(write, name, split):
    table = read_corpus(write("x.csv", f"filename,text,split\na.jpg,cap,{name}\n"))
    assert rows(table, "image", "caption", "split") == [("a.jpg", "cap", split)]


def test_tsv_with_and_without_quoting(write):
    quoted = read_corpus(write("a.tsv", 'split\timage_name\tcaption\ntrain\ta.jpg\t"tab\there"\n'))
    assert rows(quoted, "image", "caption", "split") == [("a.jpg", "tab\there", "train")]
    plain = read_corpus(write("b.tsv", 'image\tcaption\na.jpg\t"Stop" says the sign\nb.jpg\tthe sign 12"\n'))
    assert list(plain.caption) == ['"Stop" says the sign', 'the sign 12"']


def test_byte_order_mark_is_not_part_of_the_first_name(write):
    assert read_corpus(write("a.txt", b"\xef\xbb\xbf" + CHINESE.encode())).image[0] == "1000_a.jpg"
    assert list(read_corpus(write("b.csv", b"\xef\xbb\xbfimage,caption\na.jpg,x")).image) == ["a.jpg"]


def test_blank_and_empty_lines_are_counted(write):
    path = write("x.txt", "a.jpg#0\tone\n\n \na.jpg#1\t \na.jpg#2\n")
    skipped = read_corpus(path).attrs["skipped"]
    reasons = ["blank line", "blank line", "no caption", "no caption"]
    assert skipped == [(str(path), line, reason) for line, reason in enumerate(reasons, 2)]


def test_folder_with_one_caption_file_among_others(write, tmp_path):
    write("flickr8ktrain.txt", "1000_a\n2000_b\n3000_c\n")
    write("README.txt", "Some captions.\n")
    write("a.jpg", b"\xff\xd8")
    write("flickr8kzhc.caption.txt", CHINESE)
    assert len(read_corpus(str(tmp_path))) == 4
    write("flickr8kenc.caption.txt", ENGLISH)
    with pytest.raises(CorpusError, match=r"several.*flickr8kenc\.caption\.txt, flickr8kzhc\.caption\.txt"):
        read_corpus(tmp_path)


def test_several_sources_share_splits(write):
    first = write("a.csv", "image,caption,split\na.jpg,one,test\nb.jpg,two,\n")
    second = write("b.tsv", "image\tcaption\na.jpg\tuno\n")
    table = read_corpus([first, second], val_fraction=0, test_fraction=0)
    assert rows(table, "image", "split", "caption") == [
        ("a.jpg", "test", "one"),
        ("b.jpg", "train", "two"),
        ("a.jpg", "test", "uno"),
    ]


def many(write, count, **options):
    text = "image,caption\n" + "".join(f"{number}.jpg,one\n{number}.jpg,two\n" for number in range(count))
    table = read_corpus(write(f"{count}.csv", text), **options)
    assert (table.groupby("image").split.nunique() == 1).all()
    return dict(zip(table.image, table.split, strict=True))


def test_splits_come_from_the_seed_and_the_name_alone(write):
    small, large = many(write, 300), many(write, 400)
    assert small.items() <= large.items()
    assert small == many(write, 300)
    assert small != many(write, 300, split_seed=1)


def test_split_shares(write):
    values = list(many(write, 2000, val_fraction=0.1, test_fraction=0.2).values())
    assert values.count("val") == pytest.approx(200, abs=45)
    assert values.count("test") == pytest.approx(400, abs=60)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fractions", [(0.01, 0.01), (0.01, 0.98), (0.98, 0.01)])
def test_small_corpora_can_be_trained_and_validated(write, seed, fractions):
    for count in (1, 2, 3):
        options = {"split_seed": seed, "val_fraction": fractions[0], "test_fraction": fractions[1]}
        splits = set(many(write, count, **options).values())
        assert "train" in splits
        assert count == 1 or "val" in splits


def test_no_validation_when_none_is_wanted(write):
    assert set(many(write, 50, val_fraction=0, test_fraction=0).values()) == {"train"}


def test_captions_by_image_keep_their_order(write):
    text = "image,caption,split\nb.jpg,1,train\na.jpg,2,train\nb.jpg,3,train\nc.jpg,4,val\n"
    table = read_corpus([write("a.csv", text), write("b.txt", "a.jpg#zhb#0 5")])
    assert captions_by_image(table, "train") == {"b.jpg": ["1", "3"], "a.jpg": ["2", "5"]}
    assert captions_by_image(table, "train", "machine") == {"a.jpg": ["5"]}
    assert captions_by_image(table, "test") == {}


def test_summarize_corpus(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n")
    table = read_corpus(write("flickr8kzhc.caption.txt", CHINESE + "\n"))
    found = summarize_corpus(table, Segmenter(TextConfig(language="en")))
    assert (found["images"], found["captions"], found["left_out_images"], found["skipped"]) == (2, 3, 1, 1)
    assert found["splits"] == {"train": {"images": 1, "captions": 2}, "val": {"images": 1, "captions": 1}}
    assert found["captions_per_image"] == {"min": 1, "median": 1.5, "mean": 1.5, "p95": 1.95, "max": 2}
    assert found["caption_length"]["unit"] == "words"
    assert found["origins"] == {"human": 3}
    assert json.loads(json.dumps(found)) == found
    lines = format_summary(found)
    for part in ("2 images, 3 captions", "left out: 1 images", "skipped: 1 (1 blank line)", "length in words"):
        assert part in lines
    assert summarize_corpus(table)["caption_length"]["max"] == len("一对恋人在公园河边拥抱。")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"a.jpg#zhc#0 ok\nb.jpg#zhc#0 \xff\xff\n", r"a\.txt, line 2: not UTF-8"),
        ("a.txt", "a.jpg#0\tone\nhello\n", r"a\.txt, line 2: expected .*found 'hello'"),
        (
            "a.txt",
            "nothing known\n",
            r"a\.txt: unknown caption format \(the file starts with 'nothing known'\); known: .*flickr8k: NAME",
        ),
        ("a.txt", "", "unknown caption format"),
        ("a.txt", "a.jpg#0\t\n", r"no captions found \(1 lines skipped\)"),
        ("a.txt", "\0#0\tone\n", r"line 1: the image name is missing or invalid"),
        ("a.csv", "one,two\n", r"a\.csv, line 1: expected a header with 'image' and 'caption'.*'one,two'"),
        ("a.csv", "image,caption,id\na.jpg,one,two,3\n", r"line 2: 4 fields, but the header has 3; quote"),
        ("a.csv", 'image,caption\na.jpg,x\nb.jpg,"one\n', r"line 3: .*double quotes"),
        ("a.csv", "image,caption\n,one\n", r"a\.csv, line 2: the image name is missing or invalid"),
        ("a.csv", "image,caption,split\na.jpg,one,best\n", r"a\.csv, line 2: unknown split 'best'; use one of train"),
        (
            "a.csv",
            "image,caption,split\na,one,val\na,two,dev\na,3,test\n",
            r"line 4: a is in test here but in val at .*2",
        ),
        ("a.csv", "image,caption\na.jpg," + "x" * 200_000, r"line 2: field larger than field limit"),
        ("a.json", "[1, ", r"a\.json is not valid JSON"),
        ("a.json", "[" * 100_000, r"a\.json is not valid JSON"),
        ("a.json", "{}", r"a\.json: expected a list of .*found a JSON dict"),
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


def test_errors_of_split_lists(write):
    write("flickr8kval.txt", "other\n")
    path = write("flickr8kzhc.caption.txt", CHINESE)
    with pytest.raises(CorpusError, match=r"none of its images is in the split lists next to it \(flickr8kval\.txt\)"):
        read_corpus(path)
    write("flickr8ktrain.txt", "1000_a\nother\n")
    with pytest.raises(CorpusError, match=r"flickr8kval\.txt, line 1: other is also listed for train"):
        read_corpus(path)


def test_errors_of_arguments(write, tmp_path):
    path = write("a.csv", "image,caption\na.jpg,one\n")
    with pytest.raises(CorpusError, match=r"no caption file or folder .*missing\.csv"):
        read_corpus(tmp_path / "missing.csv")
    with pytest.raises(CorpusError, match=r"Unknown format 'klingon'; known formats: .*flickr8k"):
        read_corpus(path, format="klingon")
    with pytest.raises(CorpusError, match="No caption source"):
        read_corpus([])
    with pytest.raises(CorpusError, match="val_fraction"):
        read_corpus(path, val_fraction=1.5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="No caption file was recognized in"):
        read_corpus(tmp_path / "empty")


def test_unreadable_file(write, monkeypatch):
    path = write("a.csv", "image,caption\na.jpg,one\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"a\.csv: Permission denied"):
        read_corpus(path)


# --- Sources


def test_what_a_source_names_holds(write):
    first = write("a.csv", "image,caption,split\na.jpg,one,test\nb.jpg,two,\n")
    second = write("b.txt", "c.jpg#zhb#0 三\nc.jpg#zhc#1 四\n".encode("big5"))
    sources = [
        f"{first}:split=train,weight=0.25,stage=2",
        Source(str(second), "flickr8k", "big5", "val", "human", "photos/2"),
    ]
    table = read_corpus(sources)
    assert list(table.columns) == COLUMNS
    assert rows(table, "image", "split", "origin", "weight", "stage", "caption") == [
        ("a.jpg", "train", "human", 0.25, 2, "one"),
        ("b.jpg", "train", "human", 0.25, 2, "two"),
        ("photos/2/c.jpg", "val", "human", 1.0, 1, "三"),
        ("photos/2/c.jpg", "val", "human", 1.0, 1, "四"),
    ]
    assert (table.weight.dtype, table.stage.dtype) == ("float32", "int16")
    assert list(table.source) == [str(first)] * 2 + [str(second)] * 2
    assert [about["encoding"] for about in table.attrs["files"]] == ["utf-8", "big5"]
    assert set(read_corpus(f"{second}:origin=machine").origin) == {"machine"}
    assert summarize_corpus(table)["stages"] == [1, 2]
    assert "stages: 1, 2" in format_summary(summarize_corpus(table))


def test_options_of_a_source_win_over_those_of_the_call(write):
    path = write("a.txt", "a.jpg#0\tone\n")
    assert read_corpus(f"{path}:format=pairs", format="flickr8k").image[0] == "a.jpg#0"
    assert read_corpus(path, format="pairs").image[0] == "a.jpg#0"
    with pytest.raises(CorpusError, match="Unknown format 'klingon'"):
        read_corpus(f"{path}:format=klingon", format="pairs")
    with pytest.raises(CorpusError, match="unknown encoding 'klingon'"):
        read_corpus(f"{path}:encoding=klingon")
    with pytest.raises(ConfigError, match="weight"):
        read_corpus(f"{path}:weight=-1")


def test_a_path_is_not_parsed(write):
    path = write("a.csv:split=train", "image,caption\na.jpg,one\n")
    assert list(read_corpus([path]).source) == [str(path)]
    with pytest.raises(CorpusError, match=r"no caption file or folder .*a\.csv; check"):
        read_corpus(str(path))


def test_one_file_is_given_once(write, tmp_path):
    path = write("corpus/a.csv", "image,caption\na.jpg,one\n")
    (tmp_path / "link.csv").symlink_to(path)
    for other in (path, tmp_path / "link.csv", tmp_path / "corpus", tmp_path / "corpus" / ".." / "corpus" / "a.csv"):
        with pytest.raises(CorpusError, match=r"\.csv is given twice; list it once"):
            read_corpus([path, other])


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "loop"])
def test_paths_that_cannot_be(tmp_path, name):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(CorpusError, match=r"no caption file or folder|Cannot read the caption source"):
        read_corpus(tmp_path / name)


# --- Names of images


@pytest.fixture
def photos(write):
    names = ("1.jpg", "2.PNG", "3.jpg", "3.png", "sub/4.webp", "train2014/COCO_train2014_000000000042.jpg", "7")
    for name in names:
        path = write(f"photos/{name}", b"\xff")
    return path.parents[0]


def test_names_get_the_suffix_of_their_file(write, photos):
    names = ("1", "2", "3", "4", "sub/4", "1.jpg", "7", "gone", "./sub//4", "COCO_train2014_000000000042")
    table = read_corpus(write("a.txt", "".join(f"{name}\tx\n" for name in names)), images=photos)
    named = ["1.jpg", "2.PNG", "3", "4", "sub/4.webp", "1.jpg", "7", "gone", "sub/4.webp"]
    assert list(table.image) == [*named, "train2014/COCO_train2014_000000000042.jpg"]
    assert table.attrs["files"][0]["notes"] == {"image names completed": 4}
    coco = write("coco.txt", "COCO_train2014_000000000042#0\ty\nCOCO_val2014_000000000042#0\tz\n")
    assert list(read_corpus(coco, images=photos).image) == [
        "train2014/COCO_train2014_000000000042.jpg",
        "COCO_val2014_000000000042.jpg",
    ]


def test_names_below_the_prefix_of_their_source(write, photos):
    path = write("a.txt", "4\tx\n")
    assert list(read_corpus(f"{path}:images=sub", images=photos).image) == ["sub/4.webp"]
    assert list(read_corpus(f"{path}:images=sub/", images=photos).image) == ["sub/4.webp"]
    assert list(read_corpus(f"{path}:images=gone", images=photos).image) == ["gone/4"]
    assert list(read_corpus(f"{path}:images=photos.tsv", images=photos).image) == ["photos.tsv/4"]


@pytest.mark.parametrize("images", ["gs://bucket/photos", "photos.tsv", None])
def test_without_a_folder_names_are_those_of_the_corpus(write, images):
    first, second = write("a.txt", "1\tx\n2\tx\n"), write("b.txt", "1.jpg\ty\n3.jpg\ty\n2.jpg\ty\n2.png\ty\n")
    table = read_corpus([first, second], images=images)
    assert list(table.image) == ["1.jpg", "2", "1.jpg", "3.jpg", "2.jpg", "2.png"]


def test_every_folder_of_images_is_listed_once(write, photos, monkeypatch):
    import os

    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    text = "".join(f"{number % 3}/{number}\tx\nCOCO_val2014_{number:012d}\tx\n" for number in range(300))
    read_corpus(write("a.txt", text), images=photos)
    assert len(listed) == 5


def test_two_spellings_of_an_image_share_its_split(write, photos):
    bare = write("a.csv", "image,caption\n1,x\n2,x\nsub/4,x\n3,x\n")
    full = write("b.csv", "image,caption,split\n1.jpg,y,test\n2.PNG,y,val\n./sub/4.webp,y,train\n")
    table = read_corpus([bare, full], images=photos)
    assert (table.groupby("image").split.nunique() == 1).all()
    assert dict(zip(table.image, table.split, strict=True)).items() >= {"1.jpg": "test", "2.PNG": "val"}.items()


def test_the_seeded_split_does_not_depend_on_the_suffix(write):
    def splits(suffix):
        text = "".join(f"photo {number}{suffix}\tx\n" for number in range(300))
        table = read_corpus(write(f"names{suffix or '.none'}.txt", text), val_fraction=0.3, test_fraction=0.2)
        return [name.removesuffix(suffix) + split for name, split in zip(table.image, table.split, strict=True)]

    assert splits("") == splits(".jpg") == splits(".PNG")
    assert splits("") != splits(".txt")


# --- Splits in the names of releases


def release(write, name, images):
    return write(name, [{"image_id": f"{image}.jpg", "caption": ["x"]} for image in images])


TRAIN, VAL = "caption_train_annotations_20170902.json", "caption_validation_annotations_20170910.json"
IGNORED = "images split by the seed, ignoring 'train' in the file name"


def test_release_names_tell_the_split(write):
    table = read_corpus([release(write, TRAIN, range(50)), release(write, VAL, range(50, 60))])
    assert dict(table.split.value_counts()) == {"train": 50, "val": 10}
    coco = {"images": [{"id": 1, "file_name": "z.jpg"}], "annotations": [{"image_id": 1, "caption": "x"}]}
    table = read_corpus([release(write, TRAIN, range(50)), write("captions_val2017.json", coco)])
    assert dict(table.split.value_counts()) == {"train": 50, "val": 1}
    assert all(about["notes"] == {} for about in table.attrs["files"])


@pytest.mark.parametrize("name", ["captions_train.json", "my_caption_train_annotations_20170902.json", "train.json"])
def test_other_names_tell_nothing(write, name):
    table = read_corpus([release(write, name, range(50)), release(write, VAL, range(50, 60))], test_fraction=0.5)
    assert set(table.split[:50]) == {"train", "val", "test"}


def test_a_release_for_training_alone_is_divided(write):
    path = release(write, TRAIN, range(100))
    table = read_corpus(path)
    assert dict(table.split.value_counts()).keys() == {"train", "val", "test"}
    assert table.attrs["files"][0]["notes"] == {IGNORED: 100}
    assert list(table.split) == list(read_corpus(release(write, "mine.json", range(100))).split)
    assert set(read_corpus(f"{path}:split=train").split) == {"train"}
    assert set(read_corpus(path, val_fraction=0).split) == {"train"}
    own = write("own.csv", "image,caption\n" + "".join(f"own{number},x\n" for number in range(20)))
    assert set(read_corpus([path, own]).split[:100]) == {"train"}


def test_a_test_split_in_a_name_is_kept_and_nothing_is_added_to_it(write):
    train = write("seg.flickr30kzhbbosontrain.caption.txt", "".join(f"{n}#zhb#0 一 只 狗\n" for n in range(100)))
    test = write("seg.flickr30kzhmbosontest.caption.txt", "t#zhm#0 两:m 只:q 狗:n\n")
    table = read_corpus([train, test], test_fraction=0.3)
    assert list(table.image[table.split == "test"]) == ["t"]
    assert (table.split == "val").any()
    assert set(read_corpus(test).split) == {"test"}


def test_what_stands_in_a_file_counts_more_than_its_name(write):
    own = write("own.csv", "image,caption,split\n1.jpg,x,test\n2.jpg,x,val\n")
    table = read_corpus([release(write, TRAIN, range(5)), own])
    assert list(table.split[:5]) == ["train", "test", "val", "train", "train"]
    with pytest.raises(
        CorpusError, match=r"validation_.*json, entry 1: 1\.jpg is in val here but in train at .*entry 2"
    ):
        read_corpus([release(write, TRAIN, range(5)), release(write, VAL, [1])])


# --- Machine translations


def test_machine_translations_outside_training_are_marked(write):
    text = "image,caption,split\na,1,train\nb,2,val\nc,3,test\n"
    table = read_corpus([write("a.csv", text), write("b.txt", "a#zhb#0 一\nb#zhb#0 二\nc#zhg#0 三\n")])
    assert list(machine_references(table)) == [False, False, False, False, True, True]
    found = summarize_corpus(table)
    assert found["machine_references"] == 2
    assert "machine translations outside the training split: 2 (not used)" in format_summary(found)
    assert "machine translations" not in format_summary(summarize_corpus(table[:4]))


# --- The table


def test_the_table_serves_as_any_other(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n")
    table = read_corpus([write("flickr8kzhc.caption.txt", CHINESE), write("b.csv", "image,caption\n9.jpg,x\n")])
    assert [name for name in table.attrs] == ["skipped", "left_out", "files"]
    part = table[table["split"] == "train"]
    assert part.attrs["left_out"] == table.attrs["left_out"] == ["3000_c.jpg"]
    assert dict(table["split"].value_counts()) == {"train": 3, "val": 1}
    assert table.groupby("split")["image"].nunique().to_dict() == {"train": 2, "val": 1}
    assert table.groupby(["source", "split"]).size().sum() == 4
    assert table["origin"].unique().tolist() == ["human"]
    assert json.loads(json.dumps(table.attrs)) == table.attrs


def test_a_long_list_of_skipped_lines_is_not_copied_with_every_column(write):
    path = write("a.csv", "image,caption\na.jpg,one\n" + "\n" * 1000)
    table = read_corpus(path)
    assert table["image"].attrs["skipped"] is table.attrs["skipped"]


SOURCES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["", "train", "val", "test"])), min_size=1, max_size=20),
        st.sampled_from(["", ".jpg"]),
        st.sampled_from([None, *SPLITS]),
        st.sampled_from([None, *ORIGINS]),
        st.floats(0.1, 9),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sources=SOURCES, seed=st.integers(0, 9), fractions=st.sampled_from([(0, 0), (0.1, 0.1), (0.4, 0.5)]))
def test_no_image_is_in_two_splits(tmp_path, sources, seed, fractions):
    given_sources = []
    for number, (lines, suffix, split, origin, weight, stage) in enumerate(sources):
        path = tmp_path / f"{number}.csv"
        path.write_text("image,caption,split\n" + "".join(f"{image}{suffix},x,{own}\n" for image, own in lines))
        given_sources.append(Source(str(path), split=split, origin=origin, weight=weight, stage=stage))
    try:
        table = read_corpus(given_sources, None, *fractions, seed)
    except CorpusError as error:
        assert "put each image in one split" in str(error)
        return
    assert len(table) == sum(len(lines) for lines, *_ in sources)
    assert not table.isna().any().any()
    assert (table.groupby(table["image"].str.removesuffix(".jpg"))["split"].nunique() == 1).all()
    for source, rows_of in zip(
        given_sources, (table[table["source"] == item.path] for item in given_sources), strict=True
    ):
        assert (rows_of["stage"] == source.stage).all() and np.allclose(rows_of["weight"], source.weight)
        assert source.split is None or (rows_of["split"] == source.split).all()
        assert (rows_of["origin"] == (source.origin or "human")).all()
    named = {image for lines, _, split, *_ in sources for image, own in lines if own or split}
    free = {image for lines, *_ in sources for image, _ in lines} - named
    if len(free) > 1 and fractions[0]:
        assert {"train", "val"} <= set(table["split"])


def test_tensorflow_is_not_needed(tmp_path):
    import subprocess

    code = "import sys, caption_tx.data.corpus.table, caption_tx.data.text.segmentation\n"
    code += "sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_flickr8k_cn_as_it_was_published(shared):
    folder = shared / "data" / "flickr8k"
    table = read_corpus([folder / "flickr8kzhc.caption.txt", folder / "flickr8kzhb.caption.txt"])
    found = summarize_corpus(table)
    assert found["splits"] == {
        "train": {"images": 6000, "captions": 60_000},
        "val": {"images": 1000, "captions": 10_000},
    }
    assert found["origins"] == {"human": 35_000, "machine": 35_000}
    assert {len(captions) for captions in captions_by_image(table, "val", "human").values()} == {5}
    assert (table.attrs["skipped"], table.attrs["left_out"]) == ([], [])
    assert summarize_corpus(table)["machine_references"] == 5000


@pytest.mark.parametrize("images", [None, "gs://bucket/coco"])
def test_names_of_coco_with_and_without_a_folder_are_one_image(write, images):
    numbers = range(1, 41)
    karpathy = [
        {"filepath": "val2014", "filename": f"COCO_val2014_{n:012d}.jpg", "sentences": [{"raw": "a dog"}]}
        for n in numbers
    ]
    paths = [
        write("karpathy.json", {"images": karpathy, "dataset": "coco"}),
        write("cn.txt", "".join(f"COCO_val2014_{n:012d}#0\t一只狗\n" for n in numbers)),
    ]
    table = read_corpus(paths, val_fraction=0.3, test_fraction=0.3, images=images)
    assert set(table.image) == {f"val2014/COCO_val2014_{n:012d}.jpg" for n in numbers}
    assert (table.groupby("image")["split"].nunique() == 1).all()
    assert table["split"].nunique() == 3


FOLDERS = ("val2014", "coco/val2014", "")


def test_the_split_of_an_image_of_coco_is_the_same_in_every_folder(write):
    lines = [write(f"{n}.txt", "".join(f"COCO_val2014_{n:012d}.jpg\tx\n" for n in range(60))) for n in range(3)]
    sources = [Source(str(path), images=folder) for path, folder in zip(lines, FOLDERS, strict=True)]
    table = read_corpus(sources, val_fraction=0.3, test_fraction=0.3)
    assert table.image.nunique() == 180
    splits = table.groupby(table.image.str.rpartition("/")[2])["split"]
    assert (splits.nunique() == 1).all()
    alone = read_corpus(sources[2], val_fraction=0.3, test_fraction=0.3)
    assert alone.set_index("image")["split"].to_dict() == splits.first().to_dict()


def test_two_splits_of_one_image_of_coco_are_refused(write):
    name = "COCO_val2014_000000000042.jpg"
    a = write("a.csv", f"image,caption,split\nx/{name},a,train\n")
    b = write("b.csv", f"image,caption,split\ny/{name},b,test\n")
    with pytest.raises(CorpusError, match=r"b\.csv, line 2: COCO_val2014_000000000042 is in test here but in train"):
        read_corpus([a, b])


@pytest.mark.parametrize("source", ["gs://bucket/x.json", "gs://bucket/x.json:weight=2", Source("s3://bucket/x.json")])
def test_captions_on_a_remote_store_are_refused(source):
    with pytest.raises(CorpusError, match=r"^(gs|s3)://bucket/x\.json is on a remote store; copy it here first"):
        read_corpus(source)
