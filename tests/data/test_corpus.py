"""Every layout as it lies on disk, its quirks, and what is said about a file that cannot be read."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caption_tx.config import TextConfig
from caption_tx.data.corpus import captions_by_image, describe, format_description, read_corpus
from caption_tx.data.layouts import FORMATS
from caption_tx.data.segmentation import Segmenter
from caption_tx.errors import CorpusError

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


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, content: str | bytes | list) -> Path:
        content = json.dumps(content) if isinstance(content, list) else content
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
    assert list(table.columns) == ["image", "caption", "split", "origin", "source", "line"]
    assert rows(table, "image", "caption", "split", "line") == [
        ("1000_a.jpg", "一个穿着泳装的女人。", "train", 1),
        ("2000_b.jpg", "一对恋人在公园河边拥抱。", "val", 2),
        ("1000_a.jpg", "女人躺在海水里。", "train", 3),
    ]
    assert set(table["source"]) == {str(path)}
    assert table.attrs == {"skipped": [], "left_out": ["3000_c.jpg"]}


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
    [("enc", "human"), ("zhc", "human"), ("zhm", "human"), ("zhb", "machine"), ("zhg", "machine")],
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


def test_describe(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n")
    table = read_corpus(write("flickr8kzhc.caption.txt", CHINESE + "\n"))
    found = describe(table, Segmenter(TextConfig(language="en")))
    assert (found["images"], found["captions"], found["left_out_images"], found["skipped"]) == (2, 3, 1, 1)
    assert found["splits"] == {"train": {"images": 1, "captions": 2}, "val": {"images": 1, "captions": 1}}
    assert found["captions_per_image"] == {"min": 1, "median": 1.5, "mean": 1.5, "p95": 1.95, "max": 2}
    assert found["caption_length"]["unit"] == "words"
    assert found["origins"] == {"human": 3}
    assert json.loads(json.dumps(found)) == found
    lines = format_description(found)
    for part in ("2 images, 3 captions", "left out: 1 images", "skipped: 1 (1 blank line)", "length in words"):
        assert part in lines
    assert describe(table)["caption_length"]["max"] == len("一对恋人在公园河边拥抱。")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"a.jpg#zhc#0 ok\nb.jpg#zhc#0 \xb9\xb7\n", r"a\.txt, line 2: not UTF-8"),
        ("a.txt", "a.jpg#0\tone\nhello\n", r"a\.txt, line 2: expected .*found 'hello'"),
        ("a.txt", "nothing known\n", r"a\.txt: layout not recognised \(it begins 'nothing known'\); known: flickr8k"),
        ("a.txt", "", "layout not recognised"),
        ("a.txt", "a.jpg#0\t\n", r"no captions in it \(1 lines skipped\)"),
        ("a.txt", "\0#0\tone\n", r"line 1: no usable image name"),
        ("a.csv", "one,two\n", r"a\.csv, line 1: expected a header with 'image' and 'caption'.*'one,two'"),
        ("a.csv", "image,caption\na.jpg,one,two\n", r"line 2: 3 fields where the header has 2; put"),
        ("a.csv", 'image,caption\na.jpg,x\nb.jpg,"one\n', r"line 3: .*double quotes"),
        ("a.csv", "image,caption\n,one\n", r"a\.csv, line 2: no usable image name"),
        ("a.csv", "image,caption,split\na.jpg,one,best\n", r"a\.csv, line 2: unknown split 'best'; use one of train"),
        (
            "a.csv",
            "image,caption,split\na,one,val\na,two,dev\na,3,test\n",
            r"line 4: a is in test here and in val at .*2",
        ),
        ("a.csv", "image,caption\na.jpg," + "x" * 200_000, r"line 2: field larger than field limit"),
        ("a.json", "[1, ", r"a\.json is not valid JSON"),
        ("a.json", "[" * 100_000, r"a\.json is not valid JSON"),
        ("a.json", "{}", r"a\.json: expected a list of .*found a JSON dict"),
        ("a.json", '[{"image_id": "a", "caption": ["x"]}, 7]', r"a\.json, entry 2: expected .*found '7'"),
        ("a.json", '[{"image_id": "a"}]', "entry 1"),
        ("a.json", '[{"image_id": "\\ud800", "caption": "x"}]', "entry 1"),
        ("a.json", '[{"image_id": "a", "caption": [7]}]', "entry 1: a caption must be text, found '7'"),
        ("a.json", "[]", "no captions in it"),
    ],
)
def test_errors_name_file_and_line(write, name, content, message):
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(name, content))


def test_errors_of_split_lists(write):
    write("flickr8kval.txt", "other\n")
    path = write("flickr8kzhc.caption.txt", CHINESE)
    with pytest.raises(CorpusError, match=r"none of its images is in the split lists beside it \(flickr8kval\.txt\)"):
        read_corpus(path)
    write("flickr8ktrain.txt", "1000_a\nother\n")
    with pytest.raises(CorpusError, match=r"flickr8kval\.txt, line 1: other is listed for train too"):
        read_corpus(path)


def test_errors_of_arguments(write, tmp_path):
    path = write("a.csv", "image,caption\na.jpg,one\n")
    with pytest.raises(CorpusError, match=r"no caption file or folder .*missing\.csv"):
        read_corpus(tmp_path / "missing.csv")
    with pytest.raises(CorpusError, match="Unknown format 'coco'; known: flickr8k"):
        read_corpus(path, format="coco")
    with pytest.raises(CorpusError, match="No caption source"):
        read_corpus([])
    with pytest.raises(CorpusError, match="val_fraction"):
        read_corpus(path, val_fraction=1.5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="No caption file was recognised in"):
        read_corpus(tmp_path / "empty")


def test_unreadable_file(write, monkeypatch):
    path = write("a.csv", "image,caption\na.jpg,one\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CorpusError, match=r"a\.csv: Permission denied"):
        read_corpus(path)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"a\.csv: Permission denied"):
        read_corpus(path)


PIECES = st.sampled_from(
    [
        *'#,\t\n\r"[]{}: \0\u2028',
        *("a.jpg", "#zhc#0 ", "image,caption,split", "image\tcaption", "train", "\ufeff"),
        *('{"image_id": "a", "caption": ["x"]}', '"\\ud800"', "狗", "1e999", "NaN"),
    ]
)
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=30).map(lambda parts: "".join(parts).encode()))


@pytest.mark.parametrize("format", [None, *FORMATS])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=BYTES, suffix=st.sampled_from([".txt", ".csv", ".tsv", ".json"]))
def test_no_bytes_do_anything_but_make_a_table_or_a_corpus_error(tmp_path, format, content, suffix):
    path = tmp_path / f"captions{suffix}"
    path.write_bytes(content)
    try:
        table = read_corpus(path, format=format)
    except CorpusError as error:
        assert path.name in str(error)
    else:
        assert len(table) > 0
        assert table["caption"].str.strip().ne("").all() and table["image"].ne("").all()
        assert table["split"].isin(["train", "val", "test"]).all()
        assert describe(table)["captions"] == len(table)


def test_tensorflow_is_not_needed(tmp_path):
    import subprocess

    code = "import sys, caption_tx.data.corpus, caption_tx.data.segmentation; sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_flickr8k_cn_as_it_was_published(shared):
    folder = shared / "data" / "flickr8k"
    table = read_corpus([folder / "flickr8kzhc.caption.txt", folder / "flickr8kzhb.caption.txt"])
    found = describe(table)
    assert found["splits"] == {
        "train": {"images": 6000, "captions": 60_000},
        "val": {"images": 1000, "captions": 10_000},
    }
    assert found["origins"] == {"human": 35_000, "machine": 35_000}
    assert {len(captions) for captions in captions_by_image(table, "val", "human").values()} == {5}
    assert table.attrs == {"skipped": [], "left_out": []}
