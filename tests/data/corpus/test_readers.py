"""Every layout as it lies on disk, with its quirks; what is bad is skipped and told, or stops the reading."""

import base64
import json
import re

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caption_tx.config import Source
from caption_tx.data.corpus.formats import READERS, detect_format
from caption_tx.data.corpus.rows import SPLIT_NAMES
from caption_tx.data.corpus.sources import find_caption_file, read_source
from caption_tx.data.corpus.summary import summarize_corpus
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

PIXEL = base64.urlsafe_b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256))).decode()
COCO_CN = (
    "COCO_val2014_000000123334#0\t一只狗在草地上跑\n"
    "COCO_train2014_000000000042#0\t两只猫\n"
    "COCO_val2014_000000123334#1\t狗 在叫\n"
)
BOSON = (
    "1000092795#zhm#0 一:m 只:q 狗:n 在:p 10:30:t 跑:v ，:wd 很:d 快:a\n"
    "1000092795#zhm#1 穿:v T:nx 恤:n 的:ude NIKE:nx shoes:nx\n"
    "10002456#zhm#0 狗/n 跑/v\n"
)
KARPATHY = {
    "images": [
        {
            "filepath": "val2014",
            "sentids": [1],
            "filename": "COCO_val2014_000000522418.jpg",
            "imgid": 0,
            "split": "restval",
            "sentences": [
                {"tokens": ["a", "woman"], "raw": "A woman. ", "imgid": 0, "sentid": 1},
                {"tokens": ["a", "cake"]},
            ],
        },
        {"filename": "b.jpg", "split": "val", "sentences": [{"tokens": ["一", "只", "猫"]}, "two cats"]},
        {"filename": "c.jpg", "split": "test", "sentences": [{"raw": "three"}]},
        {"filename": "d.jpg", "split": "train", "sentences": []},
    ],
    "dataset": "coco",
}
COCO = {
    "info": {"year": 2014},
    "licenses": [],
    "images": [{"id": 57870, "file_name": "COCO_train2014_000000057870.jpg"}, {"id": "9", "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 57870, "id": 1, "caption": "A restaurant has modern wooden tables.\n"},
        {"image_id": 9, "id": 2, "caption": "two"},
        {"image_id": 57870, "id": 3, "caption": " "},
    ],
}
CHALLENGER = [
    {"url": "http://x/1", "image_id": "aa.jpg", "caption": ["一个\n男人\n", "一位男士", "", "\ud800"]},
    {"url": "http://x/2", "image_id": "bb.jpg", "caption": []},
    {"image": "cc.jpg", "image_id": 7, "caption": "一个字符串"},
]
FLICKR30K = (
    "image_name| comment_number| comment\n"
    '1000092795.jpg| 0| Two young guys , one "shaggy", look at their hands | arms .\n'
    "2199200615.jpg| 4   A dog runs across the grass .\n"
)
MUGE = (
    '{"image_id": "007c6dda", "text": ["女士 短款外套", "另一个"]}\n'
    '{"text_id": 8, "text": "一把伞", "image_ids": [1076345, 1076346]}\n'
    "\n"
    '{"image_id": "0a1b", "captions": ["三", null], "split": "validation"}\n'
    '{"Image": "x.png", "TEXT": "four"}\n'
    '{"image_id": "nothing"}\n'
)
OFA = f"0\tid7\t一只狗&&两只狗\tdog&&cat\t{PIXEL}\n1\tid8\ta dog\t\t{PIXEL}\n2\tid9\tfour columns\t{PIXEL}\n"

LAYOUTS = {
    "flickr8k": (
        "flickr8k.caption.txt",
        "a.jpg#zhc#0 句子\nb.jpg#enc#0 a sentence\nc.jpg#zhbJan#0 机器\nd.jpg#1\tclassic #2 \ne.jpg#zhm#0 人\n",
        [
            ("a.jpg", "句子", "human", 1),
            ("b.jpg", "a sentence", "human", 2),
            ("c.jpg", "机器", "machine", 3),
            ("d.jpg", "classic #2", "human", 4),
            ("e.jpg", "人", "human", 5),
        ],
    ),
    "flickr8k, segmented": (
        "seg.captions.txt",
        BOSON,
        [
            ("1000092795", "一只狗在10:30跑，很快", "human", 1),
            ("1000092795", "穿T恤的NIKE shoes", "human", 2),
            ("10002456", "狗跑", "human", 3),
        ],
    ),
    "coco_cn": (
        "imageid.human-written-caption.txt",
        COCO_CN,
        [
            ("COCO_val2014_000000123334.jpg", "一只狗在草地上跑", "human", 1),
            ("COCO_train2014_000000000042.jpg", "两只猫", "human", 2),
            ("COCO_val2014_000000123334.jpg", "狗 在叫", "human", 3),
        ],
    ),
    "pairs": (
        "flickr30k_cn_test.txt",
        "6228559981\t一个女人在跑步。\n6228559981\t她的手表显示 10:30 and/or 11\nfoo bar.JPG\t two \n",
        [
            ("6228559981", "一个女人在跑步。", "human", 1),
            ("6228559981", "她的手表显示 10:30 and/or 11", "human", 2),
            ("foo bar.JPG", "two", "human", 3),
        ],
    ),
    "flickr30k": (
        "results.csv",
        FLICKR30K,
        [
            ("1000092795.jpg", 'Two young guys , one "shaggy", look at their hands | arms .', "human", 2),
            ("2199200615.jpg", "A dog runs across the grass .", "human", 3),
        ],
    ),
    "ai_challenger": (
        "caption_annotations.json",
        json.dumps(CHALLENGER),
        [
            ("aa.jpg", "一个\n男人", "human", 1),
            ("aa.jpg", "一位男士", "human", 1),
            ("cc.jpg", "一个字符串", "human", 3),
        ],
    ),
    "coco": (
        "captions.json",
        json.dumps(COCO),
        [
            ("COCO_train2014_000000057870.jpg", "A restaurant has modern wooden tables.", "human", 1),
            ("b.jpg", "two", "human", 2),
        ],
    ),
    "karpathy": (
        "dataset_coco.json",
        json.dumps(KARPATHY),
        [
            ("val2014/COCO_val2014_000000522418.jpg", "A woman.", "human", 1),
            ("val2014/COCO_val2014_000000522418.jpg", "a cake", "human", 1),
            ("b.jpg", "一只猫", "human", 2),
            ("b.jpg", "two cats", "human", 2),
            ("c.jpg", "three", "human", 3),
        ],
    ),
    "jsonl": (
        "IC_train.jsonl",
        MUGE,
        [
            ("007c6dda", "女士 短款外套", "human", 1),
            ("007c6dda", "另一个", "human", 1),
            ("1076345", "一把伞", "human", 2),
            ("1076346", "一把伞", "human", 2),
            ("0a1b", "三", "human", 4),
            ("x.png", "four", "human", 5),
        ],
    ),
    "ofa": (
        "caption_val.tsv",
        OFA,
        [
            ("id7", "一只狗", "human", 1),
            ("id7", "两只狗", "human", 1),
            ("id8", "a dog", "human", 2),
            ("id9", "four columns", "human", 3),
        ],
    ),
    "csv": (
        "captions.txt",
        'image,caption\na.jpg,"one, ""two""\nthree"\nb.jpg,a man , in a hat, walks\nc.jpg,it says "go"\n',
        [
            ("a.jpg", 'one, "two"\nthree', "human", 2),
            ("b.jpg", "a man , in a hat, walks", "human", 4),
            ("c.jpg", 'it says "go"', "human", 5),
        ],
    ),
    "tsv": (
        "captions.tsv",
        'id\tsplit\tfile_name\tcaption\n1\ttrain\ta.jpg\t"tab\there"\n2\tdev\tb.jpg\tb\n',
        [("a.jpg", "tab\there", "human", 2), ("b.jpg", "b", "human", 3)],
    ),
}

DOCUMENTS = ("ai_challenger", "coco", "karpathy")


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(content) if isinstance(content, (dict, list)) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def read(path, format=None, **options):
    return read_corpus(Source(str(path), format, **options))


def rows(table, *columns):
    columns = columns or ("image", "caption", "origin", "line")
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def notes(table):
    return table.attrs["files"][0]["notes"]


def reasons(table):
    return [item[1:] for item in table.attrs["skipped"]]


# --- Each layout as published, without --format


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_detected_and_read(write, layout):
    name, content, expected = LAYOUTS[layout]
    path = write(name, content)
    table = read(path)
    assert rows(table) == expected
    about = table.attrs["files"][0]
    assert about["format"] == layout.split(",")[0]
    assert (about["source"], about["encoding"]) == (str(path), "utf-8")
    assert (about["captions"], about["images"]) == (len(expected), len({row[0] for row in expected}))
    json.dumps(table.attrs["files"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_layouts_in_other_encodings(write, layout, encoding):
    name, content, expected = LAYOUTS[layout]
    content = content.replace("\\u4e00\\u4e2a", "一个")  # JSON in letters rather than in escapes
    table = read(write(name, content.encode(encoding)))
    assert rows(table) == expected


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_layouts_with_other_line_ends(write, layout, end):
    name, content, expected = LAYOUTS[layout]
    assert rows(read(write(name, content.replace("\n", end)))) == expected


LINES = [layout for layout in LAYOUTS if layout not in (*DOCUMENTS, "csv", "tsv", "flickr30k")]


@pytest.mark.parametrize("layout", LINES)
def test_a_bad_line_at_the_beginning_does_not_hide_the_layout(write, layout):
    name, content, _ = LAYOUTS[layout]
    path = write(name, "# Captions, made by us\n" + content * 10)
    table = read(path)
    assert table.attrs["files"][0]["format"] == layout.split(",")[0]
    assert reasons(table)[0][0] == 1


def test_every_format_is_tested_here():
    assert {layout.split(",")[0] for layout in LAYOUTS} | {"parquet", "folder"} == set(READERS)


# --- Flickr8k-CN, Flickr30k-CN, COCO-CN


def test_tags_of_words_are_stripped_and_told(write):
    assert notes(read(write("seg.x.caption.txt", BOSON))) == {"part-of-speech tags stripped": 3}


def test_segmented_captions_without_tags_are_joined(write):
    # Flickr30k-CN's machine translations: two spaces are left where a comma was.
    text = "1#zhb#0 两 个 年轻 人  他们 在 院子 里\n1#zhb#1 一 只 狗 和 iPhone 6\n2#zhb#0 狗 跑\n"
    table = read(write("seg.x.caption.txt", text))
    assert list(table.caption) == ["两个年轻人，他们在院子里", "一只狗和iPhone 6", "狗跑"]
    assert notes(table) == {"pre-segmented captions joined": 3}


@pytest.mark.parametrize(
    "captions",
    [
        ["and/or", "10:30", "men/women"],
        ["the clock shows 10:30", "a/b c/d e/f", "women and men"],
        ["一个人 在跑步", "他们在院子里", "两只狗"],
        ["yes:no", "一只狗在跑"],
        ["a dog runs", "two cats sleep on a bed", "three men"],
        ["http://x.com/a b/c"],
        ["两个年轻的男人 他们在院子里聊天", "下雨的街道上 撑着雨伞的行人 停着的汽车"],
    ],
)
def test_ordinary_captions_are_left_alone(write, captions):
    table = read(write("x.txt", "".join(f"a.jpg#{place}\t{text}\n" for place, text in enumerate(captions))))
    assert list(table.caption) == captions
    assert notes(table) == {}


def test_a_few_captions_without_tags_among_tagged_ones_are_kept(write):
    lines = [f"a.jpg#zhb#{place} 一:m 只:q 狗:n" for place in range(30)]
    lines[3] = "a.jpg#zhb#3 一只猫 10:30"
    lines[4] = "a.jpg#zhb#4 一:m 只:q 大:a 的:u 狗:n 在:p 家:n 里:f 睡:v 着 了:y"
    table = read(write("x.txt", "\n".join(lines)))
    assert list(table.caption[2:6]) == ["一只狗", "一只猫 10:30", "一只大的狗在家里睡着了", "一只狗"]
    assert notes(table) == {"part-of-speech tags stripped": 29}


def flickr30k_cn(write, name, text, ids=None):
    if ids is not None:
        write(f"{name}/ImageSets/{name}.txt", ids)
    return write(f"{name}/TextData/seg.{name}.caption.txt", text).parent.parent


def test_flickr30k_cn_as_published(write):
    train = flickr30k_cn(write, "flickr30kzhbbosontrain", "1#zhb#0 一 只 狗\n2#zhb#0 两 只 猫\n", "1\n")
    val = flickr30k_cn(write, "flickr30kzhbbosonval", "3#zhb#0 三 只 鸟\n")
    test = flickr30k_cn(write, "flickr30kzhmbosontest", "4#zhm#0 四:m 只:q 鱼:n\n", "4\n")
    table = read_corpus([train, val, test])
    assert rows(table, "image", "caption", "split", "origin") == [
        ("1", "一只狗", "train", "machine"),
        ("3", "三只鸟", "val", "machine"),
        ("4", "四只鱼", "test", "human"),
    ]
    assert table.attrs["left_out"] == ["2"]
    assert set(table.source) == {
        str(folder / "TextData" / f"seg.{folder.name}.caption.txt") for folder in (train, val, test)
    }


def test_flickr30k_cn_with_a_list_of_other_images(write):
    folder = flickr30k_cn(write, "flickr30kzhbbosontrain", "1#zhb#0 一 只 狗\n", "7\n")
    with pytest.raises(CorpusError, match=r"none of its images is in .*ImageSets/flickr30kzhbbosontrain\.txt"):
        read_corpus(folder)
    assert read(folder, split="train").split.tolist() == ["train"]


def test_coco_cn_release(write):
    for split, number in (("train", "000000000042"), ("val", "000000123334"), ("test", "000000000007")):
        write(f"coco-cn_{split}.txt", f"COCO_{'train' if split == 'train' else 'val'}2014_{number}\n")
    human = write("imageid.human-written-caption.txt", COCO_CN)
    seg = write("imageid.human-written-caption.bosonseg.txt", "COCO_val2014_000000123334#0 一:m 只:q 狗:n\n")
    machine = write(
        "imageid.machine-translated-caption.bosonseg.txt",
        "COCO_val2014_000000123334#zhbDec#0 一:m 只:q 狗:n\nCOCO_val2014_000000000099#0 两:m 只:q 狗:n\n"
        "COCO_train2014_000000000042#0 三:m 只:q 猫:n\n",
    )
    table = read_corpus([human, machine, seg])
    assert rows(table, "image", "split", "origin", "caption") == [
        ("COCO_val2014_000000123334.jpg", "val", "human", "一只狗在草地上跑"),
        ("COCO_train2014_000000000042.jpg", "train", "human", "两只猫"),
        ("COCO_val2014_000000123334.jpg", "val", "human", "狗 在叫"),
        ("COCO_val2014_000000123334.jpg", "val", "machine", "一只狗"),
        ("COCO_train2014_000000000042.jpg", "train", "machine", "三只猫"),
        ("COCO_val2014_000000123334.jpg", "val", "human", "一只狗"),
    ]
    assert {about["format"] for about in table.attrs["files"]} == {"coco_cn"}
    assert table.attrs["left_out"] == ["COCO_val2014_000000000099.jpg"]
    assert summarize_corpus(table)["machine_references"] == 1


def test_a_number_in_a_caption_is_not_that_of_a_caption(write):
    table = read(write("x.txt", "a.jpg\tgirl #2 is going in\nb.jpg\tplayer #7 jumps\n"))
    assert rows(table, "image", "caption") == [("a.jpg", "girl #2 is going in"), ("b.jpg", "player #7 jumps")]


def test_flickr8k_lists_are_not_taken_for_flickr30k(write):
    write("flickr8ktrain.txt", "a\n")
    assert len(read(write("flickr30k_cn_test.txt", "1.jpg#0\t一个句子\n"))) == 1
    with pytest.raises(CorpusError, match="none of its images"):
        read(write("captions.txt", "1.jpg#0\t一个句子\n"))


def test_a_damaged_split_list(write):
    path = write("flickr8kzhc.caption.txt", "a.jpg#zhc#0 一\n")
    write("flickr8ktrain.txt", b"a\n" * 50 + b"\xff\n")
    with pytest.raises(CorpusError, match=r"flickr8ktrain\.txt, line 51: not UTF-8 \(byte 0xff\); fix the line"):
        read(path)


# --- Tables


def test_a_line_of_flickr30k_without_its_separator_is_told(write):
    table = read(write("results.csv", FLICKR30K))
    assert notes(table) == {"missing separators restored": 1}


def test_commas_outside_quotes_belong_to_the_last_of_two_columns(write):
    table = read(write("x.csv", 'filename,comment\na.jpg, a man, in "red", walks \n'))
    assert list(table.caption) == ['a man, in "red", walks']
    assert notes(table) == {"captions with unquoted separators": 1}
    with pytest.raises(CorpusError, match=r"y\.csv, line 2: 3 fields, but the header has 2; quote"):
        read(write("y.csv", "caption,image\na,b,c.jpg\n"))


def test_a_broken_quote_in_one_line_is_a_bad_line(write):
    good = "".join(f"{number}.jpg,one\n" for number in range(20))
    table = read(write("x.csv", f'image,caption\n{good}b.jpg,"Stop" says the sign\nc.jpg,last\n'))
    assert list(table.image)[-1] == "c.jpg"
    assert [place[0] for place in reasons(table)] == [22]
    assert "',' expected after '\"'" in reasons(table)[0][1]


def test_an_open_quote_over_many_lines_is_damage(write):
    good = "".join(f"{number}.jpg,one\n" for number in range(20))
    with pytest.raises(CorpusError, match=r"x\.csv, line 22: .*a quote inside as two"):
        read(write("x.csv", f'image,caption\n{good}b.jpg,"Stop\n{good}{good}'))
    with pytest.raises(CorpusError, match=r"z\.csv, line 22: unexpected end of data; .*a quote inside as two"):
        read(write("z.csv", f'image,caption\n{good}b.jpg,"Stop'))
    with pytest.raises(CorpusError, match=r"y\.csv, line 22: .*a quote inside as two"):
        read(write("y.csv", f'image,caption\n{good}b.jpg,"Stop\n{good * 2000}'))


def test_a_field_too_large_is_a_bad_line(write):
    good = "".join(f"{number}.jpg,one\n" for number in range(20))
    table = read(write("x.csv", f"image,caption\n{good}b.jpg,{'x' * 200_000}\nc.jpg,last\n"))
    assert reasons(table) == [(22, "field larger than field limit (131072)")]


def test_tsv_quotes_are_letters_where_they_do_not_close(write):
    table = read(write("b.tsv", 'image\tcaption\na.jpg\t"Stop" says the sign\nb.jpg\tthe sign 12"\n\nc.jpg\t"\n'))
    assert list(table.caption) == ['"Stop" says the sign', 'the sign 12"', '"']
    assert reasons(table) == [(4, "blank line")]
    table = read(write("c.tsv", 'image\tcaption\na.jpg\t"quoted"\n\nb.jpg\tb\nc.jpg\t"open\n'))
    assert rows(table, "image", "caption", "line") == [
        ("a.jpg", '"quoted"', 2),
        ("b.jpg", "b", 4),
        ("c.jpg", '"open', 5),
    ]
    assert reasons(table) == [(3, "blank line")]


def test_stray_quotes_of_a_tsv_take_in_no_other_rows(write):
    table = read(write("x.tsv", 'image\tcaption\nx.jpg\t"He said hi\ny.jpg\ta dog\nz.jpg\ta cat"\n'))
    assert rows(table, "image", "caption", "line") == [
        ("x.jpg", '"He said hi', 2),
        ("y.jpg", "a dog", 3),
        ("z.jpg", 'a cat"', 4),
    ]
    table = read(write("y.tsv", 'image\tcaption\nx.jpg\t"in ""quotes"""\n'))
    assert list(table.caption) == ['in "quotes"']


def test_captions_of_several_lines_of_a_csv_are_counted(write):
    table = read(write("x.csv", 'image,caption\nx.jpg,"one\ntwo"\ny.jpg,"three"\nz.jpg,"\nfour\n"\n'))
    assert list(table.caption) == ["one\ntwo", "three", "four"]
    assert notes(table) == {"multi-line captions": 1}


def test_a_long_line_of_ofa_keeps_no_image(write):
    image = PIXEL * 3000  # a megabyte
    table = read(write("x.tsv", "".join(f"{place}\tid{place}\t一只狗{place}\t\t{image}\n" for place in range(4))))
    assert table.attrs["files"][0]["format"] == "ofa"
    assert rows(table, "image", "caption") == [(f"id{place}", f"一只狗{place}") for place in range(4)]


def test_a_table_of_images_alone_is_no_caption_file(write):
    path = write("IC_train.txt", f"007c\t{PIXEL}\n008d\t{PIXEL}\n")
    assert detect_format(path) is None


# --- Parquet


@pytest.fixture
def write_parquet(tmp_path):
    def write_file(name, columns):
        pd.DataFrame(columns).to_parquet(tmp_path / name)
        return tmp_path / name

    return write_file


def test_parquet(write_parquet):
    columns = {
        "image": [{"bytes": b"\xff" * 1000, "path": "no.jpg"}] * 4,
        "filename": ["a.jpg", "b.jpg", None, "d.jpg"],
        "caption": [["one", "一只狗", ""], ["two"], ["three"], []],
        "split": ["train", "val", "test", None],
    }
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    path = write_parquet("x.parquet", {name: column * 5 for name, column in (columns | {"filename": names}).items()})
    table = read(path)
    assert rows(table, "image", "caption", "split", "line")[:4] == [
        ("a.jpg", "one", "train", 1),
        ("a.jpg", "一只狗", "train", 1),
        ("b.jpg", "two", "val", 2),
        ("c.jpg", "three", "test", 3),
    ]
    assert reasons(table)[:2] == [(1, "no caption"), (4, "no caption")]
    with pytest.raises(CorpusError, match=r"y\.parquet, row 3: the image name is missing or invalid"):
        read(write_parquet("y.parquet", columns))


def test_parquet_with_images_and_their_paths(write_parquet):
    columns = {
        "image": [{"bytes": b"\xff" * 1000, "path": "a.jpg"}, {"bytes": b"", "path": "b.jpg"}],
        "text": ["x", "y"],
    }
    assert rows(read(write_parquet("x.parquet", columns)), "image", "caption") == [("a.jpg", "x"), ("b.jpg", "y")]
    assert list(read(write_parquet("y.parquet", {"image_id": [7, 8], "text": ["x", "y"]})).image) == ["7", "8"]
    texts = pd.Categorical(["x", "x"])
    assert list(read(write_parquet("z.parquet", {"image_id": [7, 8], "text": texts})).caption) == ["x", "x"]


def test_images_in_a_parquet_file_are_not_loaded(write_parquet, monkeypatch):
    import pyarrow.parquet

    asked = []
    batches = pyarrow.parquet.ParquetFile.iter_batches

    def note(self, *arguments, columns=None, **options):
        asked.append(columns)
        return batches(self, *arguments, columns=columns, **options)

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", note)
    read(write_parquet("x.parquet", {"image": [{"bytes": b"\xff", "path": "a.jpg"}], "caption": ["x"], "n": [1]}))
    assert [sorted(columns) for columns in asked] == [["caption", "image.path"]]


def test_parquet_that_cannot_be_read(write, write_parquet):
    with pytest.raises(CorpusError, match=r"x\.parquet is not a readable Parquet file"):
        read(write("x.parquet", b"PAR1" + bytes(100)))
    with pytest.raises(
        CorpusError, match=r"^[^ ]*y\.parquet: expected text columns named image and caption.*found a, b"
    ):
        read(write_parquet("y.parquet", {"a": [1], "b": ["x"]}))
    with pytest.raises(CorpusError, match=r"z\.parquet: expected text columns"):
        read(write_parquet("z.parquet", {"image": [b"\xff"], "caption": ["x"]}))
    with pytest.raises(CorpusError, match=r"e\.parquet: no captions found \(0 rows skipped\)"):
        read(write_parquet("e.parquet", pd.DataFrame({"image": ["a"], "caption": ["b"]}).iloc[:0]))


# --- Folders


def test_a_folder_of_images_with_texts(write, tmp_path):
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
    assert rows(read(folder, format="folder")) == rows(table)
    assert notes(table) == {"images without a text file": 1}


def test_texts_without_a_caption_are_told(write, tmp_path):
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


def test_one_listing_for_each_folder(write, tmp_path, monkeypatch):
    import os

    for number in range(30):
        write(f"photos/{number % 3}/{number}.jpg", b"\xff")
        write(f"photos/{number % 3}/{number}.txt", "x")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(os.fspath(path)) or scandir(path))
    assert len(read(tmp_path / "photos", format="folder")) == 30
    assert len(listed) == 4


def test_texts_in_another_encoding(write, tmp_path):
    folder = tmp_path / "photos"
    for number in range(20):
        write(f"photos/{number}.jpg", b"\xff")
        write(f"photos/{number}.txt", "一只狗")
    write("photos/7.txt", "公園".encode("big5"))
    write("photos/8.txt", "兩隻狗在公園裡奔跑".encode("big5"))
    assert {"公園", "兩隻狗在公園裡奔跑", "一只狗"} == set(read(folder).caption)
    write("photos/8.txt", "一只狗")
    write("photos/7.txt", b"\xff\xfd\x80\x80")
    table = read(folder)
    assert len(table) == 19
    assert table.attrs["skipped"] == [(str(folder / "7.txt"), 1, "unknown encoding")]
    for number in range(10, 13):
        write(f"photos/{number}.txt", b"\x81")
    with pytest.raises(CorpusError, match=r"photos/10\.txt, line 1: .*'.*/photos:encoding=gb18030'\) \(4 of 20 lines"):
        read(folder)
    with pytest.raises(CorpusError, match=r"photos/0\.txt, line 1: not ASCII .*photos:encoding=gb18030'\) \(20 of 20"):
        read(folder, encoding="ascii")


def test_which_file_of_a_folder(write, tmp_path):
    folder = tmp_path / "corpus"
    write("corpus/a.jpg", b"\xff")
    write("corpus/a.txt", "a.jpg\tlooks like a caption file")
    write("corpus/LICENSE.txt", "Do what you like.")
    assert find_caption_file(folder) == (folder, "folder")
    write("corpus/captions.csv", "image,caption\na.jpg,x\n")
    assert find_caption_file(folder) == (folder / "captions.csv", "csv")
    assert find_caption_file(folder, "folder") == (folder, "folder")
    write("corpus/more.json", CHALLENGER)
    with pytest.raises(CorpusError, match=r"several caption files \(captions\.csv, more\.json\); pass the one"):
        find_caption_file(folder)
    assert find_caption_file(folder, "csv") == (folder / "captions.csv", "csv")
    assert find_caption_file(folder, "ai_challenger") == (folder / "more.json", "ai_challenger")
    with pytest.raises(CorpusError, match=r"No caption file was recognized in .*corpus"):
        find_caption_file(folder, "ofa")
    with pytest.raises(CorpusError, match=r"captions\.csv is a file; format 'folder' needs a folder"):
        find_caption_file(folder / "captions.csv", "folder")


def test_a_folder_without_captions(write, tmp_path):
    write("photos/a.jpg", b"\xff")
    write("photos/b.txt", "no image")
    with pytest.raises(CorpusError, match="No caption file was recognized in"):
        read(tmp_path / "photos")
    with pytest.raises(CorpusError, match=r"photos: no captions found \(1 lines skipped\)"):
        read(tmp_path / "photos", format="folder")


# --- What is bad


FLICKR_REASON = "not of the form NAME#0 caption"
FLICKR30K_HEADER = "image_name| comment_number| comment\n"
JSONL = '{{"image": "{n}", "text": "one"}}\n'
BAD = {
    "flickr8k": ("flickr8k.caption.txt", "", "{n}.jpg#0\tone\n", "nonsense\n", FLICKR_REASON),
    "coco_cn": ("x.txt", "", "COCO_val2014_{n:012d}#0\tone\n", "COCO_val\n", FLICKR_REASON),
    "pairs": ("x.txt", "", "{n}.jpg\tone\n", "{n}.jpg\tone\ttwo\n", "3 columns, expected 2"),
    "flickr30k": ("x.csv", FLICKR30K_HEADER, "{n}.jpg| 0| one\n", "one\n", "not of the form NAME| number| caption"),
    "csv": ("x.csv", "image,caption,split\n", "{n}.jpg,one,\n", "{n}.jpg,one,two,3\n", "more fields than the header"),
    "csv split": ("x.csv", "image,caption,split\n", "{n}.jpg,one,\n", "{n}.jpg,one,best\n", "unknown split"),
    "tsv": ("x.tsv", "image\tcaption\n", "{n}.jpg\tone\n", "\tone\n", "no image name"),
    "jsonl": ("x.jsonl", "", JSONL, '{{"image": \n', "not valid JSON"),
    "jsonl text": ("x.jsonl", "", JSONL, '{{"image": "a", "text": 7}}\n', "caption is not a string"),
    "jsonl image": ("x.jsonl", "", JSONL, '{{"image": NaN, "text": "x"}}\n', "not an entry of image and captions"),
    "ofa": ("x.tsv", "", "{n}\tid\tone\t\t" + PIXEL + "\n", "{n}\tid\tone\t\tno image\n", "not the columns of OFA"),
}


@pytest.mark.parametrize("kind", BAD)
def test_few_bad_lines_are_skipped_and_many_stop_the_reading(write, kind):
    name, header, good, bad, reason = BAD[kind]
    lines = [good.format(n=number) for number in range(90)]
    wrong = [bad.format(n=number) for number in range(90)]
    table = read(write(name, header + "".join(lines + wrong[:10] + ["\n"] * 300)))
    assert table.attrs["files"][0]["format"] == kind.split()[0]
    assert len(table) == 90
    start = 91 + bool(header)
    assert reasons(table)[:10] == [(start + number, reason) for number in range(10)]
    message = rf"{re.escape(name)}, line {start}: .+ \(11 of 101 lines are invalid\)\.$"
    with pytest.raises(CorpusError, match=message):
        read(write(name, header + "".join(lines + wrong[:11] + ["\n"] * 300)))
    with pytest.raises(CorpusError, match=rf"{re.escape(name)}, line {1 + bool(header)}: "):
        read(write(name, header + wrong[0]), format=kind.split()[0])


GOOD_ENTRIES = {
    "ai_challenger": {"image_id": "a.jpg", "caption": ["one", "two"]},
    "coco": {"image_id": 1, "caption": "one"},
    "karpathy": {"filename": "a.jpg", "sentences": [{"raw": "one"}], "split": "train"},
}
BAD_ENTRIES = [
    ("ai_challenger", 7, "not an entry of image and captions"),
    ("ai_challenger", {"image_id": "a"}, "not an entry of image and captions"),
    ("ai_challenger", {"image_id": "a", "caption": {"zh": "x"}}, "not an entry of image and captions"),
    ("ai_challenger", {"image_id": "a", "caption": ["x", 7]}, "caption is not a string"),
    ("ai_challenger", {"image_id": "a\0", "caption": "x"}, "no image name"),
    ("ai_challenger", {"image_id": "\ud800", "caption": "x"}, "no image name"),
    ("coco", {"image_id": 2, "caption": "x"}, "unknown image id"),
    ("coco", {"image_id": 3, "caption": "x"}, "unknown image id"),
    ("coco", {"image_id": {}, "caption": "x"}, "not an annotation"),
    ("coco", 7, "not an annotation"),
    ("karpathy", {"filename": 7, "sentences": []}, "not an entry of filename and sentences"),
    ("karpathy", {"filename": "a", "sentences": [{"tokens": [1]}]}, "sentence without text"),
    ("karpathy", {"filename": "a", "sentences": ["x"], "split": 7}, "unknown split"),
]


@pytest.mark.parametrize(("format", "bad", "reason"), BAD_ENTRIES)
def test_few_bad_entries_are_skipped_and_many_stop_the_reading(write, format, bad, reason):
    def make(entries):
        images = [{"id": 1, "file_name": "a"}, {"id": 3}, {"id": [1], "file_name": "b"}, 7]
        coco = {"images": images, "annotations": entries}
        return {"ai_challenger": entries, "coco": coco, "karpathy": {"images": entries}}[format]

    good = GOOD_ENTRIES[format]
    table = read(write("x.json", make([good] * 90 + [bad] * 10)))
    assert table.attrs["files"][0]["format"] == format
    assert table.line.nunique() >= 90
    assert reasons(table) == [(91 + number, reason) for number in range(10)]
    with pytest.raises(CorpusError, match=r"x\.json, entry 91: .+ \(11 of 101 entries are invalid\)\.$"):
        read(write("x.json", make([good] * 90 + [bad] * 11)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, ", r"x\.json is not valid JSON: Expecting value: line 1 column 5"),
        ("[" * 100_000, r"x\.json is not valid JSON"),
        ('{"a":' * 100_000, r"x\.json is not valid JSON"),
        ("[1" + "0" * 10_000 + "]", r"x\.json is not valid JSON: Exceeds the limit"),
        ("{}", r"x\.json: expected .*a list of .*found a JSON dict"),
        ('{"images": 7, "annotations": []}', r"x\.json: expected .*found the keys 'images, annotations'"),
        (b'["\xff\xff\xff"', r"x\.json, line 1: not UTF-8"),
        ("7", r"x\.json: expected a list of .*found a JSON int"),
    ],
)
def test_documents_that_are_no_such_json(write, content, message):
    path = write("x.json", content)
    format = "coco" if "images" in str(content) else "ai_challenger"
    with pytest.raises(CorpusError, match=message):
        read(path, format)
    with pytest.raises(CorpusError, match=r"x\.json"):
        read(path, "karpathy")
    with pytest.raises(CorpusError, match=r"x\.json"):
        read(path)


def test_a_damaged_byte_in_a_document_costs_one_caption(write):
    entries = [{"image_id": f"{number}.jpg", "caption": ["一只狗在草地上跑"]} for number in range(50)]
    data = json.dumps(entries, ensure_ascii=False).encode().replace("狗".encode(), b"\xe7", 1)
    table = read(write("x.json", data))
    assert len(table) == 49
    assert reasons(table) == [(1, "not valid Unicode")]


def test_numbers_as_image_ids_become_text(write):
    lines = [f'{{"image_id": {value}, "text": "x"}}\n' for value in ("7", "8.0", "12345678901234567890123")]
    odd = [
        f'{{"image_id": {value}, "text": "x"}}\n' for value in ("true", "1e999", "-Infinity", "8.5", "null", "{}", "[]")
    ]
    table = read(write("x.jsonl", "".join(lines * 30 + odd)))
    assert sorted(set(table.image)) == ["12345678901234567890123", "7", "8"]
    assert len(reasons(table)) == 7


def test_a_file_of_images_without_captions(write):
    with pytest.raises(CorpusError, match=r"IC_test\.jsonl: no captions found \(2 lines skipped\); check the file"):
        read(write("IC_test.jsonl", '{"image_id": "a"}\n{"image_id": "b"}\n'))


def test_a_wrong_format_stops_before_the_end(write, monkeypatch):
    monkeypatch.setattr("caption_tx.data.corpus.rows._EARLY_CHECK", 50)
    with pytest.raises(CorpusError, match=r"line 1: .*\(51 of 51 lines are invalid\)"):
        read(write("x.txt", "nonsense\n" * 10_000), "flickr8k")


def test_undecodable_lines_are_bad_lines(write):
    lines = [f"{number}.jpg#zhc#0 一只狗\n".encode() for number in range(90)]
    table = read(write("x.txt", b"".join(lines + [b"\xb9\xb7\n"] * 10)))
    assert reasons(table) == [(91 + number, "not UTF-8 (byte 0xb9)") for number in range(10)]
    path = write("x.txt", b"".join(lines + [b"\xff\n"] * 11))
    with pytest.raises(CorpusError, match=r"x\.txt, line 91: not UTF-8 \(byte 0xff\); fix the line or name the enc"):
        read(path, encoding="utf-8")


def test_the_splits_that_files_name(write):
    for name, split in SPLIT_NAMES.items():
        records = read_source(Source("x"), write("x.csv", f"image,text,subset\na.jpg,cap, {name.upper()}\n"), "csv")
        assert records.splits == [split]


# --- Anything at all


PIECES = [
    *(piece.encode() for piece in '#,\t\n\r"[]{}: |&\0\u2028'),
    *(b"a.jpg", b"#zhc#0 ", b"image,caption,split", b"image\tcaption", b"train", b"\xef\xbb\xbf", b"\xff\xfe", b"PAR1"),
    *(
        b'{"image_id": "a", "caption": ["x"]}',
        b'"\\ud800"',
        "狗".encode(),
        "狗".encode("gbk"),
        b"1e999",
        b"NaN",
        b"null",
    ),
    *(
        b"COCO_val2014_000000000042#0\t",
        b"image_name| comment_number| comment\n",
        PIXEL.encode(),
        b'{"images": [',
        b"&&",
    ),
]
BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
)
WHOLE_FILE = re.compile(
    "unknown caption format|no captions found|is not valid JSON|found a JSON|found the keys|not a readable Parquet"
    "|expected text columns|none of its images|No caption file was recognized|no other encoding"
)


@st.composite
def mutated(draw, data):
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["delete", "double", "replace", "insert", "flip"]))
        if kind == "delete":
            data = data[:start] + data[stop:]
        elif kind == "double":
            data = data[:stop] + data[start:stop] * draw(st.integers(1, 5)) + data[stop:]
        elif kind == "replace":
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[stop:]
        elif kind == "insert":
            data = data[:start] + draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4))) + data[start:]
        else:
            data = (
                data[:start]
                + bytes(byte ^ draw(st.integers(1, 255)) for byte in data[start : start + 1])
                + data[start + 1 :]
            )
    return data


def check_reading(path, format):
    try:
        table = read_corpus(path, format=format)
    except CorpusError as error:
        message = str(error)
        assert path.name in message
        assert re.search(r"(line|entry|row) \d+", message) or WHOLE_FILE.search(message), message
        return
    assert len(table) > 0
    assert table["caption"].str.strip().ne("").all() and table["image"].ne("").all()
    assert not table["image"].str.contains("\0", regex=False).any()
    assert table["split"].isin(["train", "val", "test"]).all() and table["origin"].isin(["human", "machine"]).all()
    assert (table["line"] > 0).all()
    for column in ("image", "caption"):
        "".join(table[column]).encode()
    assert summarize_corpus(table)["captions"] == len(table)
    json.dumps(table.attrs)


ANYTHING = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("format", [None, *(name for name in READERS if name != "folder")])
@ANYTHING
@given(content=BYTES, suffix=st.sampled_from([".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet"]))
def test_no_bytes_do_anything_but_make_a_table_or_a_corpus_error(tmp_path, format, content, suffix):
    path = tmp_path / f"captions{suffix}"
    path.write_bytes(content)
    check_reading(path, format)


@pytest.fixture(scope="session")
def parquet_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    pd.DataFrame(
        {"image": ["a.jpg", "b.jpg"], "caption": [["one", "一只狗"], ["two"]], "split": ["train", ""]}
    ).to_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("layout", [*LAYOUTS, "parquet"])
@ANYTHING
@given(data=st.data())
def test_no_damage_to_a_good_file_does(tmp_path, parquet_bytes, layout, named, data):
    name, content, _ = LAYOUTS.get(layout, ("x.parquet", "", []))
    path = tmp_path / name
    path.write_bytes(data.draw(mutated(content.encode() or parquet_bytes)))
    check_reading(path, layout.split(",")[0] if named else None)


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030"])
@ANYTHING
@given(data=st.data())
def test_no_damage_to_another_encoding_does(tmp_path, encoding, data):
    path = tmp_path / "captions.txt"
    path.write_bytes(data.draw(mutated(LAYOUTS["flickr8k"][1].encode(encoding))))
    check_reading(path, "flickr8k")


@ANYTHING
@given(texts=st.lists(BYTES, min_size=1, max_size=3), stray=BYTES)
def test_no_texts_in_a_folder_do(tmp_path, texts, stray):
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(b"\xff")
        (folder / f"{number}.txt").write_bytes(texts[number % len(texts)])
    (folder / "stray.txt").write_bytes(stray)
    check_reading(folder, "folder")
    check_reading(folder, None)
