"""Messages of Slack and Discord, and posts of Instagram, as JSON."""

import json

import pytest

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.phrase_markup import STEPS
from caption_tx.errors import CorpusError

TEXTS = ["一只狗在草地上跑", "两只猫在睡觉", "一个女孩在跳舞"]
NAMES = ["1.jpg", "2.jpg", "3.jpg"]
PAIRS = list(zip(NAMES, TEXTS, strict=True))


def _slack(text, name=None):
    files = {"files": [{"id": "F1", "name": name, "title": "x", "url_private": f"https://s.com/{name}"}]}
    return {"type": "message", "user": "U1", "text": text, "ts": "1767225600.1", **(files if name else {})}


def _discord(text, name=None):
    files = [{"id": "0", "url": f"https://cdn.com/0/{name}?ex=65", "fileName": name}] if name else []
    author = {"id": "7", "name": "lin"}
    message = {"id": "119", "type": "Default", "timestamp": "2026-01-02T10:00:00+08:00", "content": text}
    return {**message, "author": author, "attachments": files, "embeds": []}


def _pairs(table):
    return list(zip(table["image"], table["caption"], strict=True))


def _notes(table):
    return table.attrs["files"][0]["notes"]


@pytest.mark.parametrize("make", [_slack, _discord])
@pytest.mark.parametrize("wrap", [lambda messages: messages, lambda messages: {"messages": messages, "count": 8}])
@pytest.mark.parametrize("first", [True, False])
def test_messages_without_an_image_are_left_out(write, make, wrap, first):
    shown = [make(text, name) for name, text in PAIRS]
    talk = [make(text) for text in ("收到，辛苦大家了", "好", "明天再拍几张", "谢谢", "再见")]
    messages = [*talk, *shown] if first else [*shown, *talk]
    table = read_corpus(write("x.json", json.dumps(wrap(messages))))
    assert _pairs(table) == PAIRS
    assert [reason for *_, reason in table.attrs["skipped"]] == ["a message without an image"] * 5
    assert _notes(table)["messages of a chat without an image, left out"] == 5


def test_messages_in_lines(write):
    messages = [*(_slack(text, name) for name, text in PAIRS), _slack("收到，辛苦大家了")]
    assert _pairs(read_corpus(write("x.jsonl", "\n".join(map(json.dumps, messages))))) == PAIRS


def test_messages_whose_ids_are_the_images(write):
    entries = [
        {"id": at, "type": "photo", "date": "2026-01-02", "user": "U1", "text": text} for at, text in enumerate(TEXTS)
    ]
    assert _pairs(read_corpus(write("x.json", json.dumps(entries)))) == [
        (str(at), text) for at, text in enumerate(TEXTS)
    ]


def test_entries_that_are_no_messages_still_need_an_image(write):
    entries = [{"image": name, "caption": text, "user": "U1"} for name, text in PAIRS] + [{"caption": TEXTS[0]}]
    with pytest.raises(CorpusError, match="entry 4: expected"):
        read_corpus(write("x.json", json.dumps(entries)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一只狗 <@U01AB>", "一只狗"),
        ("<@!1234> 一只狗", "一只狗"),
        ("一只狗 <!here>在跑", "一只狗在跑"),
        ("一只狗<#C01|照片>", "一只狗"),
        ("一只狗<:smile:123>", "一只狗"),
        ("<https://a.com/1|一只狗>在跑", "一只狗在跑"),
    ],
)
def test_mentions_are_stripped(write, text, expected):
    table = read_corpus(write("x.csv", f"image,caption\n1.jpg,{text}\n2.jpg,两只猫在睡觉\n"))
    assert _pairs(table)[0] == ("1.jpg", expected)
    assert _notes(table)["captions with mentions or links of a chat (such as <@U01AB>), which are stripped"] == 1


@pytest.mark.parametrize("text", ["3 < 5 的图", "a <b> dog", "<https://a.com>", "爱心 <3 一只狗 >", "I <! you>"])
def test_other_angle_brackets_are_no_mentions(text):
    [strip] = [step for _, step, note in STEPS if "mentions" in note]
    assert strip(text) == text


def _post(names, title="", titles=None):
    titles = titles or [""] * len(names)
    media = [
        {"uri": f"media/posts/{name}", "creation_timestamp": 17, "title": text}
        for name, text in zip(names, titles, strict=True)
    ]
    return {"media": media, **({"title": title, "creation_timestamp": 17} if title else {})}


def test_posts_of_instagram(write):
    posts = [_post(["1.jpg"], titles=[TEXTS[0]]), _post(["2.jpg", "3.jpg"], TEXTS[1]), _post(["4.jpg"])]
    table = read_corpus(write("x.json", json.dumps(posts)))
    assert _pairs(table) == [(f"media/posts/{index}.jpg", TEXTS[0 if index == 1 else 1]) for index in (1, 2, 3)]
    assert [item[1:] for item in table.attrs["skipped"]] == [(3, "no caption")]
    assert _notes(table)["captions read from posts of Instagram"] == 2


def test_texts_in_the_encoding_of_instagram(write):
    posts = [_post(["1.jpg"], titles=[TEXTS[0].encode().decode("latin-1")])] * 2
    assert list(read_corpus(write("x.json", json.dumps(posts)))["caption"]) == TEXTS[:1] * 2
