"""Sample files of every caption layout."""

import base64
import json

import pytest

IMAGE = base64.urlsafe_b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256))).decode()
COCO_CN = (
    "COCO_val2014_000000123334#0\t一只狗在草地上跑\n"
    "COCO_train2014_000000000042#0\t两只猫\n"
    "COCO_val2014_000000123334#1\t狗 在叫\n"
)
TAGGED = (
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
OFA = f"0\tid7\t一只狗&&两只狗\tdog&&cat\t{IMAGE}\n1\tid8\ta dog\t\t{IMAGE}\n2\tid9\tfour columns\t{IMAGE}\n"

SAMPLES = {
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
        TAGGED,
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
    "json": (
        "captions.json",
        json.dumps({"train": {"a.jpg": ["one dog", "a dog"], "b.jpg": "two"}, "val": {"c.jpg": [["three", "dogs"]]}}),
        [
            ("a.jpg", "one dog", "human", 1),
            ("a.jpg", "a dog", "human", 1),
            ("b.jpg", "two", "human", 2),
            ("c.jpg", "three dogs", "human", 3),
        ],
    ),
    "tsv": (
        "captions.tsv",
        'id\tsplit\tfile_name\tcaption\n1\ttrain\ta.jpg\t"tab\there"\n2\tdev\tb.jpg\tb\n',
        [("a.jpg", "tab\there", "human", 2), ("b.jpg", "b", "human", 3)],
    ),
}
"""Layout -> file name, content, and the expected (image, caption, origin, line) of its rows."""


@pytest.fixture(scope="session")
def samples():
    """Layout -> (file name, content, expected rows). The layout is a format, perhaps with a variant after a comma."""
    return SAMPLES


@pytest.fixture(scope="session")
def image_base64():
    """The bytes of an image in base64."""
    return IMAGE


@pytest.fixture
def write(tmp_path):
    """Writes a file below the temporary folder; lists and dicts as JSON. Returns its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(content) if isinstance(content, (dict, list)) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def photos(write):
    """An image folder with subfolders, two images of one stem, and a file without a suffix."""
    names = ("1.jpg", "2.PNG", "3.jpg", "3.png", "sub/4.webp", "train2014/COCO_train2014_000000000042.jpg", "7")
    for name in names:
        path = write(f"photos/{name}", b"\xff")
    return path.parents[0]
