"""Conversations about images: the first answer is the caption."""

import json

import pytest
from corpus_cases import CAT, DOG, ONE

from caption_tx.data.corpus.table import read_corpus

ASK, ASK_MORE = "描述这张图片", "图里有几只动物？"
FIRST, LATER = "captions read from the first answer of conversations", "later answers in conversations, not read"

ONE_TURN = {
    "the Cauldron": lambda text: {"texts": [{"user": ASK, "assistant": text, "source": "x"}]},
    "questions and answers": lambda text: {"qa": [{"question": ASK, "answer": text}]},
    "LLaVA": lambda text: {"conversations": [{"from": "human", "value": ASK}, {"from": "gpt", "value": text}]},
    "ShareGPT": lambda text: {
        "messages": [
            {"role": "system", "content": "你是助手"},
            {"role": "user", "content": f"<image>{ASK}"},
            {"role": "assistant", "content": text},
        ]
    },
    "the name of a model": lambda text: {
        "conversations": [{"from": "human", "value": ASK}, {"from": "qwen-vl", "value": text}]
    },
    "texts in turn": lambda text: {"conversations": [ASK, text]},
    "pairs": lambda text: {"dialog": [[ASK, text]]},
    "an object": lambda text: {"conversation": {"user": ASK, "assistant": text}},
    "instruction and output": lambda text: {"instruction": f"{ASK}{len(text)}", "output": text},
}


@pytest.mark.parametrize("form", ONE_TURN)
def test_the_answer_is_the_caption(write, form):
    lines = [json.dumps({"image": name, **ONE_TURN[form](text)}, ensure_ascii=False) + "\n" for name, text in ONE]
    table = read_corpus(write("x.jsonl", "".join(lines)))
    assert list(zip(table["image"], table["caption"], strict=True)) == ONE
    assert table.attrs["files"][0]["notes"].get(FIRST, 2) == 2


@pytest.mark.parametrize(
    "turns",
    [
        [{"user": ASK, "assistant": DOG}, {"user": ASK_MORE, "assistant": "一只"}],
        [ASK, DOG, ASK_MORE, "一只"],
        [[ASK, DOG], [ASK_MORE, "一只"]],
    ],
)
def test_later_answers_are_counted(write, turns):
    table = read_corpus(write("x.json", [{"image": "a.jpg", "conversations": turns}]))
    assert list(table["caption"]) == [DOG] and table.attrs["files"][0]["notes"][LATER] == 1


def test_captions_with_the_roles_of_annotators_are_no_conversation(write):
    captions = [{"from": "worker1", "text": DOG}, {"from": "worker2", "text": CAT}]
    table = read_corpus(write("x.json", [{"image": "a.jpg", "captions": captions}]))
    assert list(table["caption"]) == [DOG, CAT]
    assert table.attrs["files"][0]["notes"] == {"keys of captions not read (from)": 2}


def test_conversations_in_parquet(tmp_path):
    import pandas as pd

    texts = [[{"user": ASK, "assistant": text, "source": "x"}] for _, text in ONE]
    images = [[{"bytes": b"\xff%d" % at, "path": name}] for at, (name, _) in enumerate(ONE)]
    pd.DataFrame({"images": images, "texts": texts}).to_parquet(tmp_path / "x.parquet")
    table = read_corpus(tmp_path / "x.parquet")
    assert list(zip(table["image"], table["caption"], strict=True)) == ONE


def test_names_mapped_to_conversations_on_one_line_are_no_table(write):
    document = {name: [{"from": "human", "value": ASK}, {"from": "gpt", "value": text}] for name, text in ONE}
    table = read_corpus(write("x.json", document))
    assert table.attrs["files"][0]["format"] == "json"
    assert list(zip(table["image"], table["caption"], strict=True)) == ONE


@pytest.mark.parametrize("key", ["response", "output"])
def test_the_first_answer_may_be_in_the_history(write, key):
    entries = [
        {"query": "在哪里？", key: "在公园里。", "history": [[ASK, DOG]], "images": ["a.jpg"]},
        {"query": ASK, key: CAT, "history": [], "images": ["b.jpg"]},
    ]
    table = read_corpus(write("x.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries)))
    assert table["caption"].tolist() == [DOG, CAT]
    notes = table.attrs["files"][0]["notes"]
    assert notes[FIRST] == notes[LATER] == 1 and not any("history" in note for note in notes)


def test_a_history_of_other_things_is_no_conversation(write):
    entry = {"image": "a.jpg", "response": DOG, "history": ["created", "edited"]}
    table = read_corpus(write("x.jsonl", json.dumps(entry) + "\n"))
    assert table["caption"].tolist() == [DOG]
    assert table.attrs["files"][0]["notes"]["keys not read (history)"] == 1
