"""Markup around phrases of captions: it is stripped, or reported where it is read as text."""

import csv
import io

import pytest
from corpus_cases import CAT, DOG, notes, rows

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.phrase_markup import find_markup

ONE = ("一只狗在跑", "两只猫睡觉")
EN = ("a dog runs", "two cats sleep")
IMAGE, LINK, TAG, BOX = "a placeholder of the image", "captions with links", "tags around words", "coordinates of boxes"
PINYIN, SPEECH, LEFT = "pinyin beside the characters", "part-of-speech tags stripped", "markup that is read as text"
MODEL = "a model's markup"

# The captions of two images, and what is read.
CASES = {
    "[/EN#1/people a dog] runs¦[/EN#0/notvisual/other two cats] sleep": (EN, "phrases of Flickr30k Entities"),
    "[/EN#1/people Two , men] eat¦a [/EN#2/other/scene bush]": (("Two , men eat", "a bush"), "Flickr30k Entities"),
    "一只[[犬|狗]]在[[跑]]¦[[两只猫]]睡觉": (ONE, LINK),
    '一只[狗](https://x.org/dog)在跑¦两只[猫](/cat "猫")睡觉': (ONE, LINK),
    "[一只狗](animal)在跑¦![两只猫](a.jpg)睡觉": (ONE, LINK),
    "一只**狗**在跑¦两只*猫*睡~~觉~~": (ONE, "Markdown's emphasis"),
    "[b]一只狗[/b]在[url=http://x.org/1]跑[/url]¦[color=red]两只[i]猫[/i][/color]睡觉": (ONE, "BBCode"),
    "<ref>一只狗</ref><box>(1,2),(3,4)</box>在跑¦两只猫<loc_0123><loc_0001>睡觉": (ONE, MODEL),
    "<p>一只狗</p>{<25><30><60><80>}在跑¦<p>两只猫</p> {<2><30><60><80>}<delim>{<2><3><60><80>}睡觉": (ONE, BOX),
    "a dog (12,30,200,210) runs¦two cats（12, 30, 200, 210） sleep": (EN, BOX),
    "a dog [0.1, 0.2, 0.3, 0.4] runs¦two cats [[066,345,567,890]] sleep": (EN, BOX),
    "一只狗(10,20),(30,40)在跑¦两只猫（10，20），（30，40）睡觉": (ONE, BOX),
    "<image>\n一只狗在跑¦<image>\n两只猫睡觉": (ONE, IMAGE),
    "<|image_1|>一只狗在跑¦Picture 1: <img>a.jpg</img>两只猫睡觉": (ONE, IMAGE),
    "一只<b>狗</b>在跑¦<animal>两只<i>猫</i></animal>睡觉": (ONE, TAG),
    "一只<ruby>狗<rp>(</rp><rt>gǒu</rt><rp>)</rp></ruby>在跑¦两只猫睡觉": (ONE, TAG),
    "(一只狗:1.2)在跑¦(两只猫:0.9)睡觉": (ONE, "weights of a prompt"),
    "(一只狗:1.2)在跑, <lora:x:0.8>¦两只猫睡觉": (ONE, "weights of a prompt"),
    "一只狗在跑, <lora:x:0.8>¦两只猫睡觉 <hypernet:soft:1>": (
        ONE,
        "networks that a prompt adds (such as <lora:name:0.8>)",
    ),
    "一只狗(gǒu)在跑¦两只猫（māo）睡觉(shuì jiào)": (ONE, PINYIN),
    "一只狗(gou3)在跑¦两只猫睡觉（shui4jiao4）": (ONE, PINYIN),
    "一yī只zhī狗gǒu在zài跑pǎo¦两liǎng只zhī猫māo睡shuì觉jiào": (ONE, PINYIN),
    "一只/m狗/n在/p跑/v¦两只/m猫/n睡觉/v": (ONE, SPEECH),
    "一只/m [中国/ns 狗/n]nz 在/p 跑/v¦两只/m 猫/n 睡觉/v": (("一只中国狗在跑", "两只猫睡觉"), SPEECH),
    "a/DT dog/NN runs/VBZ ./.¦two_CD cats_NNS sleep_VBP ._.": (("a dog runs.", "two cats sleep."), SPEECH),
    "[pair('一只', 'm'), pair('狗', 'n'), pair('跑', 'v')]¦[pair('猫', 'n'), pair('睡', 'v')]": (
        ("一只狗跑", "猫睡"),
        SPEECH,
    ),
    "一/O 只/O 狗/B-ANI 在/O 跑/O¦两/O 只/O 猫/B-ANI 睡/O 觉/O": (ONE, SPEECH),
    "一 O 只 O 狗 B-ANI 在 O 跑 O¦两 O 只 O 猫 S-ANI 睡 O 觉 O": (ONE, SPEECH),
    # Read as text
    "[[一只狗，两只猫]]¦[[两只猫，一只狗]]": (("[[一只狗，两只猫]]", "[[两只猫，一只狗]]"), LEFT),
    "{{cn}}一只狗¦两只猫": (("{{cn}}一只狗", "两只猫"), f"{LEFT} (such as '{{{{')"),
    "一只狗[SEG]¦两只猫[2]": (("一只狗[SEG]", "两只猫[2]"), LEFT),
    "一只狗(gou)¦两只猫:cat:": (("一只狗(gou)", "两只猫:cat:"), LEFT),
    "一只T恤(polo)的Pokémon¦(a:2) dog, 3*4*5 a_b_c": (("一只T恤(polo)的Pokémon", "(a:2) dog, 3*4*5 a_b_c"), LEFT),
    "比分(1,2)，看[图]书 and/or¦[a dog] runs": (("比分(1,2)，看[图]书 and/or", "[a dog] runs"), LEFT),
    "a cat [sleeping:playing:0.5]¦a [dog:3]": (("a cat [sleeping:playing:0.5]", "a [dog:3]"), LEFT),
    "a [cat|dog] runs¦a [cat::10] runs": (("a [cat|dog] runs", "a [cat::10] runs"), LEFT),
    "a clock [10:30]¦[a dog: runs]": (("a clock [10:30]", "[a dog: runs]"), None),
    "【机翻】一只狗¦两只猫": (("【机翻】一只狗", "两只猫"), f"{LEFT} (such as '【机翻】')"),
    "[机器自动翻译]一只狗¦两只猫": (("[机器自动翻译]一只狗", "两只猫"), LEFT),
    "［存疑］一只狗¦两只猫": (("［存疑］一只狗", "两只猫"), LEFT),
    "（机器翻译）一只狗¦两只猫": (("（机器翻译）一只狗", "两只猫"), LEFT),
    "一只狗（待审核）¦两只猫": (("一只狗（待审核）", "两只猫"), LEFT),
    "[MT] a dog¦two cats": (("[MT] a dog", "two cats"), LEFT),
    "(mt) a dog¦two cats (machine translated)": (("(mt) a dog", "two cats (machine translated)"), LEFT),
    "桌上的飞机（模型）¦（一只）狗和【猫】": (("桌上的飞机（模型）", "（一只）狗和【猫】"), None),
    "(a toy) dog in a car (auto)¦[dog] runs": (("(a toy) dog in a car (auto)", "[dog] runs"), None),
    "a dog [runs] (fast) at 10:30 <3¦two (or 3) cats": (("a dog [runs] (fast) at 10:30 <3", "two (or 3) cats"), None),
}


@pytest.mark.parametrize("captions", CASES)
def test_markup_in_cells(write, captions):
    expected, note = CASES[captions]
    text = io.StringIO()
    texts = captions.rsplit("¦", 1)
    csv.writer(text).writerows([["image", "caption"], *zip(("a.jpg", "b.jpg"), texts, strict=True)])
    table = read_corpus(write("x.csv", text.getvalue()))
    assert rows(table) == list(zip(("a.jpg", "b.jpg"), expected, strict=True))
    assert any(note in text for text in notes(table)) if note else notes(table) == {}, notes(table)


def test_networks_of_prompts_are_no_weights(write):
    table = read_corpus(write("x.csv", "image,caption\na.jpg,a fox <lora:fur:0.8>\nb.jpg,two cats\n"))
    assert [note for note in notes(table) if "weights" in note] == []


def test_sentences_of_flickr30k_entities(write, tmp_path):
    write("photos/1.jpg", b"\xff\xd8"), write("photos/2.jpg", b"\xff\xd8")
    for number in (1, 2):
        write(f"Sentences/{number}.txt", f"[/EN#{number}/animals a dog] runs\n[/EN#{number}/animals It] barks\n")
    table = read_corpus(tmp_path / "Sentences", images=tmp_path / "photos")
    assert rows(table) == [(f"{at}.jpg", text) for at in (1, 2) for text in ("a dog runs", "It barks")]
    assert any("Flickr30k Entities" in note for note in notes(table))


def test_lists_of_captions_are_no_markup(write):
    table = read_corpus(write("x.csv", f"image,caption\na.jpg,[1]{DOG}[2]{CAT}\nb.jpg,[1]{CAT}[2]{DOG}\n"))
    assert len(table) == 4 and not any(LEFT in note for note in notes(table))
    assert find_markup("a dog <unk> [unk]") is None
