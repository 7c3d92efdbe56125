"""Ambiguous and foreign caption files: an error that says what to do."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, jsonl

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

ERRORS = {
    "languages in a cell": (
        "x.csv",
        'image,captions\na.jpg,"{""zh"": ""一只狗"", ""en"": ""a dog""}"\n',
        "line 2: the caption is an object with the keys 'zh, en'; write one of them as text",
    ),
    "all rejected": (
        "x.csv",
        f"image,caption,is_rejected\na.jpg,{DOG},1\n",
        r"no captions found .*keep_rejected \(--keep-rejected\) keeps",
    ),
    "two tables side by side": (
        "x.csv",
        f"图片,描述,,图片,描述\na.jpg,{DOG},,b.jpg,{CAT}\nc.jpg,{GIRL},,,\n",
        r"the columns 图片, 图片 each name an image; .* side by side \(图片, 描述 and 图片, 描述\) below each other\.",
    ),
    "two tables of other names": (
        "x.csv",
        f"no,图片,描述,no,照片,说明\n1,a.jpg,{DOG},2,b.jpg,{CAT}\n",
        r"the columns 图片, 照片 each name an image; .* \(--image-column\) 图片 and caption_column .* 描述\.",
    ),
    "two tables without a header": (
        "x.csv",
        f"a.jpg,{DOG},b.jpg,{CAT}\nc.jpg,{GIRL},d.jpg,{DOG}\n",
        r"the columns 1, 3 each name an image",
    ),
    "hexadecimal digits from PostgreSQL": (
        "x.csv",
        f"id,picture,caption\n1,\\xffd8ffe0{'0123' * 99},{DOG}\n",
        r"line 2: the image itself is in the file, as hexadecimal digits .* PostgreSQL .*\.\.\); save",
    ),
    "hexadecimal digits": (
        "x.csv",
        f"image,caption\n89504E47{'0123' * 99},{DOG}\n",
        r"line 2: the image itself is in the file, as hexadecimal digits of its bytes \(89504E470123.{18}\.\.\)",
    ),
    "base64 for addresses": (
        "x.jsonl",
        jsonl({"image": f"_9j_4AAQ{'a-_Z' * 99}", "caption": DOG}),
        "line 1: the image itself is in the file, in base64",
    ),
    "numbers": (
        "x.jsonl",
        jsonl({"image": [255, 216, 255, *range(200)], "caption": DOG}),
        r"line 1: the image itself is in the file, as the numbers of its bytes \(\[255, 216, 255, 0, 1",
    ),
    "a buffer of Node": (
        "x.json",
        json.dumps([{"image": {"type": "Buffer", "data": [137, 80, 78, 71, 13]}, "caption": DOG}]),
        "entry 1: the image itself is in the file, as the numbers of its bytes",
    ),
    "two languages": (
        "x.csv",
        f"image,caption_zh,caption_en\na.jpg,{DOG},a dog runs\n",
        r"x\.csv, line 1: 2 columns could be the caption: .*zh \('一只狗在草地上跑'\), caption_en \('a dog runs'\)"
        r"; choose with caption_column \(--caption-column\) caption_zh .*--image-column",
    ),
    "a language beside": (
        "x.csv",
        f"image,caption,caption_zh\na.jpg,a dog runs,{DOG}\n",
        "2 columns could be the caption",
    ),
    "two names": ("x.tsv", f"image\tcaption\tdescription\na.jpg\t{DOG}\t{CAT}\n", "2 columns could be the caption"),
    "two keys": (
        "x.jsonl",
        jsonl({"image": "a.jpg", "caption": DOG, "text": CAT}, {"image": "b.jpg", "caption": DOG, "text": CAT}),
        "2 keys could be the caption",
    ),
    "languages below a key": (
        "x.json",
        [{"image": "a.jpg", "caption": {"zh": DOG, "en": "a dog runs"}}],
        r"caption\.zh .*caption\.en",
    ),
    "two texts without a header": (
        "x.tsv",
        f"a.jpg\t{DOG}\t{CAT}\nb.jpg\t{CAT}\t{GIRL}\n",
        "2 columns could be the caption: 2 .*3",
    ),
    "instances": (
        "x.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "bbox": [1], "segmentation": []}],
        },
        r"has annotations of object instances, not captions; .*captions_train2017\.json",
    ),
    "keypoints": (
        "x.json",
        {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "keypoints": [1], "bbox": []}]},
        "has annotations of keypoints, not captions",
    ),
    "results of a detector": (
        "x.json",
        [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}],
        "object instances, not captions",
    ),
    "languages below names": (
        "x.json",
        {"a.jpg": {"zh": [DOG], "en": ["a dog"]}, "b.jpg": {"zh": [CAT], "en": ["two cats"]}},
        r"2 keys could be the caption: zh .*, en .*; choose with caption_column \(--caption-column\) zh",
    ),
    "other keys": (
        "x.json",
        {"foo": {"bar": [1, 2]}, "baz": "qux"},
        r"found the keys 'foo, baz', with the keys 'bar' below; convert it",
    ),
    "RTF": ("x.txt", "{\\rtf1\\ansi a.jpg\\tab a dog\\par}", "a document in RTF"),
    "competing captions": (
        "x.csv",
        f"image,response_a,response_b,winner\na.jpg,{DOG},{CAT},a\nb.jpg,{CAT},{DOG},b\n",
        "'winner' seems to say which of the columns response_a, response_b",
    ),
    "images before captions": ("x.tsv", f"{'iVBORw0KGgo' * 9}\t{DOG}\t1\n" * 2, "but no captions before them"),
    "an archive": (
        "x.zip",
        b"PK\x03\x04" + bytes(100),
        r"is a zip archive \(unpack it\) or a document of Word .*, not",
    ),
    "an archive of text": (
        "x.csv",
        b"PK\x03\x04\x14\0\0\0\0\0" + f"x.csvimage,caption\na.jpg\t{DOG}\nb.jpg\t{CAT}\n".encode(),
        r"is a zip archive \(unpack it\) or a document",
    ),
    "a tar archive": (
        "x.tar",
        b"a.jpg".ljust(257, b"\0") + b"ustar\0" + f"a.jpg\t{DOG}\nb.jpg\t{CAT}\n".encode(),
        r"is a tar archive \(unpack it with `mkdir folder && tar -xf file\.tar -C folder` and pass the folder\)",
    ),
    "an Arrow stream": (
        "x.arrow",
        b"\xff\xff\xff\xff\xa0\0\0\0" + bytes(200),
        r"is an Arrow file \(save it as Parquet\)",
    ),
    "shortened ids": (
        "x.csv",
        f"image_id,caption\n1.23457E+15,{DOG}\n1.23457E+15,{CAT}\n",
        r"x\.csv, line 2: the ids were shortened by a spreadsheet \(1\.23457E\+15\); export them as text",
    ),
    "data URIs": (
        "x.csv",
        f'image,caption\n"data:image/jpeg;base64,{"Zm9v" * 40}",{DOG}\n',
        "line 2: the image itself is in the file, in base64",
    ),
    "base64": (
        "x.jsonl",
        jsonl({"image": "/9j/" + "Zm9v" * 40, "caption": DOG}),
        "line 1: the image itself is in the file, in base64",
    ),
    "lines of several layouts": ("x.txt", f"a.jpg\t{DOG}\nb.jpg\t{CAT}\t17\n", "; fix the line"),
    "old workbook": (
        "x.xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        r"has the format of old Office documents \(.xls, .doc\); save it as CSV UTF-8",
    ),
    "old workbook with another suffix": (
        "x.txt",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "is not a caption file: .*; save it as CSV UTF-8",
    ),
    "printed table": (
        "x.txt",
        f"        image       caption annotator\n0   IMG_1.jpg  {DOG}     zhang\n1   IMG_2.jpg  {CAT}     li\n",
        r"is not a caption file but a printed table, .*; save the table itself, in pandas with table.to_csv",
    ),
    "joined COCO files": (
        "x.json",
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}],
                "annotations": [{"id": 1, "image_id": 1, "caption": DOG}, {"id": 2, "image_id": 1, "caption": CAT}],
            }
        ),
        "1 ids of 'images' have several files .*'1': 'a.jpg' and 'b.jpg'.*; give each image its own id",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_ambiguous_and_foreign_files_say_what_to_do(write, case):
    name, content, message = ERRORS[case]
    with pytest.raises(CorpusError, match=message) as caught:
        read_corpus(write(name, content))
    assert "--format" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_format_names_the_one_that_fits(write):
    path = write("x.csv", f"image,caption\na.jpg,{DOG}\nb.jpg,{CAT}\n")
    with pytest.raises(
        CorpusError, match=r"the file looks like format 'csv': leave out format \(--format\) flickr8k\.$"
    ):
        read_corpus(path, format="flickr8k")
