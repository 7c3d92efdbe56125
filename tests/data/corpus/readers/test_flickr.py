"""Flickr8k, Flickr8k-CN, Flickr30k-CN and COCO-CN with their split lists."""

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.summary import summarize_corpus
from caption_tx.data.corpus.table import read_corpus
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


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def test_flickr8k_cn_with_split_lists(write):
    write("flickr8ktrain.txt", "1000_a\n")
    write("flickr8kval.txt", "2000_b\n\n")
    path = write("flickr8kzhc.caption.txt", CHINESE)
    table = read_corpus(path)
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


def test_split_lists_share_the_prefix_of_the_caption_file(write):
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
def test_tag_distinguishes_human_and_machine_captions(write, tag, origin):
    assert list(read_corpus(write("x.txt", f"a.jpg#{tag}#0 词")).origin) == [origin]


def test_inconsistent_split_lists_are_rejected(write):
    write("flickr8kval.txt", "other\n")
    path = write("flickr8kzhc.caption.txt", CHINESE)
    with pytest.raises(CorpusError, match=r"none of its images is in the split lists next to it \(flickr8kval\.txt\)"):
        read_corpus(path)
    write("flickr8ktrain.txt", "1000_a\nother\n")
    with pytest.raises(CorpusError, match=r"flickr8kval\.txt, line 1: other is also listed for train"):
        read_corpus(path)


def test_damaged_split_list(write):
    path = write("flickr8kzhc.caption.txt", "a.jpg#zhc#0 一\n")
    write("flickr8ktrain.txt", b"a\n" * 50 + b"\xff\n")
    with pytest.raises(CorpusError, match=r"flickr8ktrain\.txt, line 51: not UTF-8 \(byte 0xff\); fix the line"):
        read_corpus(path)


def write_flickr30k_cn(write, name, text, image_list=None):
    if image_list is not None:
        write(f"{name}/ImageSets/{name}.txt", image_list)
    return write(f"{name}/TextData/seg.{name}.caption.txt", text).parent.parent


def test_published_flickr30k_cn(write):
    train = write_flickr30k_cn(write, "flickr30kzhbbosontrain", "1#zhb#0 一 只 狗\n2#zhb#0 两 只 猫\n", "1\n")
    val = write_flickr30k_cn(write, "flickr30kzhbbosonval", "3#zhb#0 三 只 鸟\n")
    test = write_flickr30k_cn(write, "flickr30kzhmbosontest", "4#zhm#0 四:m 只:q 鱼:n\n", "4\n")
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
    folder = write_flickr30k_cn(write, "flickr30kzhbbosontrain", "1#zhb#0 一 只 狗\n", "7\n")
    with pytest.raises(CorpusError, match=r"none of its images is in .*ImageSets/flickr30kzhbbosontrain\.txt"):
        read_corpus(folder)
    assert read_corpus(Source(str(folder), split="train")).split.tolist() == ["train"]


def test_published_coco_cn(write, samples):
    for split, image_id in (("train", "000000000042"), ("val", "000000123334"), ("test", "000000000007")):
        write(f"coco-cn_{split}.txt", f"COCO_{'train' if split == 'train' else 'val'}2014_{image_id}\n")
    human = write("imageid.human-written-caption.txt", samples["coco_cn"][1])
    segmented = write("imageid.human-written-caption.bosonseg.txt", "COCO_val2014_000000123334#0 一:m 只:q 狗:n\n")
    machine = write(
        "imageid.machine-translated-caption.bosonseg.txt",
        "COCO_val2014_000000123334#zhbDec#0 一:m 只:q 狗:n\nCOCO_val2014_000000000099#0 两:m 只:q 狗:n\n"
        "COCO_train2014_000000000042#0 三:m 只:q 猫:n\n",
    )
    table = read_corpus([human, machine, segmented])
    assert rows(table, "image", "split", "origin", "caption") == [
        ("COCO_val2014_000000123334.jpg", "val", "human", "一只狗在草地上跑"),
        ("COCO_train2014_000000000042.jpg", "train", "human", "两只猫"),
        ("COCO_val2014_000000123334.jpg", "val", "human", "狗 在叫"),
        ("COCO_val2014_000000123334.jpg", "val", "machine", "一只狗"),
        ("COCO_train2014_000000000042.jpg", "train", "machine", "三只猫"),
        ("COCO_val2014_000000123334.jpg", "val", "human", "一只狗"),
    ]
    assert {file["format"] for file in table.attrs["files"]} == {"coco_cn"}
    assert table.attrs["left_out"] == ["COCO_val2014_000000000099.jpg"]
    assert summarize_corpus(table)["machine_references"] == 1


def test_number_sign_in_a_caption_is_text(write):
    table = read_corpus(write("x.txt", "a.jpg\tgirl #2 is going in\nb.jpg\tplayer #7 jumps\n"))
    assert rows(table, "image", "caption") == [("a.jpg", "girl #2 is going in"), ("b.jpg", "player #7 jumps")]


def test_flickr8k_lists_are_not_used_for_flickr30k(write):
    write("flickr8ktrain.txt", "a\n")
    assert len(read_corpus(write("flickr30k_cn_test.txt", "1.jpg#0\t一个句子\n"))) == 1
    with pytest.raises(CorpusError, match="none of its images"):
        read_corpus(write("captions.txt", "1.jpg#0\t一个句子\n"))
