"""Captions that only refer to another row are left out and counted."""

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.dittos import is_ditto

DOG, CAT = "一只狗在跑", "两只猫在睡觉"
REFERENCES = (
    "同上", "同前", "同左", "同右", "同0003.jpg", "同IMG_0003", "同第3张", "同图3",
    "同3号", "〃", "″", "々々", "↑", "见上", "如上", "如上所述",
    "見上", "參見上圖", "见0003.jpg", "（同上）", "同上。", "同上图", "同上一张图片", "与上图相同",
    "和上面一样", "和上一条描述一样", "與上一張相同", "同前一张", "描述同上", "相同", "同下",
)  # fmt: skip
PHRASES = (
    '"', "- \" -", "同 0003.jpg", "同 100NIKON/DSC_0005.JPG", "ditto", "Ditto.", "idem", "same", "Same as above",
    "(same as above)", "same as 0003.jpg", "same as image 3", "same as #3", "same as the previous image", "as above",
    "see above", "see 0003.jpg", "the same as before", "same caption as above", "same description",
)  # fmt: skip
CAPTIONS = (
    "同上一辆车的人在说话", "同学在上课", "同3个人一起吃饭", "见3个人在跑步", "和狗一样", "和上面的人一样高",
    "上面有一只猫", "同行的人", "同上班", "同左手", "同前辈合影", "见上帝", "右边", "如图",
    "同款", "the same dog", "same dog as above the door", "see a man", "above the city", "see 3 dogs", "a dog above",
    "first", "3", "a", "do it",
)  # fmt: skip


def test_references_and_captions():
    assert [text for text in (*REFERENCES, *PHRASES) if not is_ditto(text)] == []
    assert [text for text in CAPTIONS if is_ditto(text)] == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", f"图片,描述\na.jpg,{DOG}\nb.jpg,同上\nc.jpg,{CAT}\nd.jpg,同 a.jpg\n"),
        ("x.tsv", f"a.jpg\t{DOG}\nb.jpg\t同上\nc.jpg\t{CAT}\nd.jpg\t见上\n"),
        (
            "x.json",
            [
                {"image": "a.jpg", "caption": DOG},
                {"image": "b.jpg", "caption": "同上"},
                {"image": "c.jpg", "caption": CAT},
                {"image": "d.jpg", "caption": "〃"},
            ],
        ),
        ("x.json", {"a.jpg": [DOG], "b.jpg": ["同上"], "c.jpg": [CAT, "同上"]}),
    ],
)
def test_they_are_left_out_and_named(write, name, content):
    table = read_corpus(write(name, content))
    assert list(zip(table["image"], table["caption"], strict=True)) == [
        ("a.jpg", DOG),
        ("c.jpg", CAT),
    ]
    assert table.attrs["files"][0]["notes"]["captions that refer to another row, left out (同上)"] == 2
    assert table.attrs["skipped"][0][2] == "refers to another row ('同上')"
