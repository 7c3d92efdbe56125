"""Captions as annotation tools, models and programs export them: the right captions, and a note."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, batch, jsonl, table

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

THREE = [*ONE, ("c.jpg", GIRL)]
ENGLISH = [("a.jpg", "a dog on the grass"), ("b.jpg", "two cats")]


BATCH = "answers of a model's batch read as captions, the names of its requests (custom_id) as image names"

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 1, "id": 7, "caption": "a dog on the grass", "caption_zh": DOG, "worker": 5},
        {"image_id": 2, "id": 8, "caption": "two cats", "caption_zh": CAT, "worker": 6},
    ],
}

CASES = {
    "words beside the text": (
        "x.csv",
        f'image,caption_str,caption_tokens\na.jpg,{DOG},"[""一只"", ""狗""]"\nb.jpg,{CAT},"[""两只"", ""猫""]"\n',
        ONE,
        "columns not read (caption_tokens)",
    ),
    # JSON that people wrote
    "comments and last commas": (
        "x.json",
        f'// by hand\n[{{"image": "a.jpg", "caption": "{DOG}",}}, /* b */\n{{"image": "b.jpg", "caption": "{CAT}"}},]',
        ONE,
        "JSON with comments or with commas after the last entry, both ignored",
    ),
    "captions beside COCO's images": (
        "x.json",
        {
            "images": [{"id": at, "file_name": name, "captions": [text]} for at, (name, text) in enumerate(ONE)],
            "annotations": [],
        },
        ONE,
        "keys not read (annotations)",
    ),
    "bold": ("x.csv", table(f"**{DOG}**", f"__{CAT}__"), ONE, "Markdown's emphasis"),
    # Annotation tools
    "VIA": (
        "x.json",
        {f"{name}99": {"filename": name, "size": 99, "file_attributes": {"caption": text}} for name, text in ONE},
        ONE,
        "keys not read (size)",
    ),
    "Label Studio": (
        "x.json",
        [
            {
                "id": 7,
                "data": {"image": name},
                "annotations": [
                    {"result": [{"value": {"text": [caption]}, "from_name": "zh", "type": "textarea"}]},
                    {"was_cancelled": True, "result": [{"value": {"text": ["坏"]}, "from_name": "zh"}]},
                ],
            }
            for name, caption in ONE
        ],
        ONE,
        "annotations of Label Studio that were cancelled, left out",
    ),
    "Labelbox": (
        "x.ndjson",
        jsonl(
            *(
                {
                    "data_row": {"id": "r", "external_id": name},
                    "projects": {
                        "p": {
                            "name": "我的项目",
                            "labels": [
                                {
                                    "annotations": {
                                        "classifications": [{"name": "描述", "text_answer": {"content": text}}]
                                    }
                                }
                            ],
                        }
                    },
                }
                for name, text in ONE
            )
        ),
        ONE,
        "captions read from the answers of Labelbox",
    ),
    "doccano": (
        "x.jsonl",
        jsonl(*({"id": 7, "filename": name, "label": [text], "Comments": []} for name, text in ONE)),
        ONE,
        "captions read from the key 'label'",
    ),
    "a question": (
        "x.jsonl",
        jsonl(*({"image": name, "prompt": "描述这张图片", "response": text} for name, text in THREE)),
        THREE,
        "keys not read (prompt)",
    ),
    "entries by number": (
        "x.json",
        {"0": {"file": "a.jpg", "zh": DOG, "n": "x"}, "1": {"file": "b.jpg", "zh": CAT, "n": "y"}},
        ONE,
        "captions read from the key 'zh'",
    ),
    "JSON twice": (
        "x.jsonl",
        "".join(json.dumps(json.dumps({"image": name, "caption": text})) + "\n" for name, text in ONE),
        ONE,
        "JSON inside a string of JSON, which is read",
    ),
    "a document twice": (
        "x.json",
        json.dumps(json.dumps([{"image": name, "caption": text} for name, text in ONE])),
        ONE,
        "JSON inside a string of JSON, which is read",
    ),
    "code blocks": (
        "x.jsonl",
        jsonl(*({"image": name, "caption": f'```json\n{{"caption": "{text}"}}\n```'} for name, text in ONE)),
        ONE,
        "captions in code blocks (```) of a model, which are read",
    ),
    "a code block": ("x.json", "```json\n" + json.dumps(dict(ONE)) + "\n```\n", ONE, "code block (```) in the file"),
    "attachments": (
        "x.csv",
        f"Attachment,Caption\na.jpg (https://x/1/2),{DOG}\nb.jpg (https://x/3),{CAT}\n",
        ONE,
        "(such as 'a.jpg (https://x/1/2)', read as 'a.jpg')",
    ),
    "HTML with attributes": (
        "x.csv",
        table(f'"<p class=""c"">{DOG}</p><!-- x -->"', f"<span id='a'>{CAT}</span>"),
        ONE,
        "captions with HTML comments or attributes, which are removed",
    ),
    "captions with lists of images": (
        "x.json",
        {DOG: ["a.jpg"], CAT: ["b.jpg", "c.jpg"]},
        [*ONE, ("c.jpg", CAT)],
        "captions mapped to image names, read the other way round",
    ),
    "names without captions": (
        "x.json",
        {"a.jpg": [DOG, None], "c.jpg": None, "d.jpg": [], "b.jpg": CAT},
        ONE,
        "entries without a caption, which are most of the file",
    ),
    # Several in one place
    "repeated keys": (
        "x.jsonl",
        f'{{"image":"a.jpg","caption":"{DOG}","caption":"{GIRL}"}}\n{{"image":"b.jpg","caption":["{CAT}"],"caption":"{DOG}"}}\n',
        TWO,
        "captions of keys that are repeated in one object, all of which are read",
    ),
    "repeated names": (
        "x.json",
        f'{{"a.jpg": "{DOG}", "b.jpg": "{CAT}", "a.jpg": "{GIRL}", "b.jpg": "{DOG}"}}',
        TWO,
        "captions of keys that are repeated in one object",
    ),
    "documents in a row": (
        "x.json",
        "".join(json.dumps({"image": name, "caption": text}, indent=2) + "\n" for name, text in ONE),
        ONE,
        "JSON documents one after the other in the file, read as one list",
    ),
    # Answers of models
    "OpenAI batch": (
        "x.jsonl",
        batch(
            lambda text: {
                "id": "b1",
                "response": {"body": {"object": "x", "choices": [{"message": {"role": "assistant", "content": text}}]}},
                "error": None,
            }
        )
        + jsonl({"custom_id": "c.jpg", "response": None, "error": {"message": "too large"}}),
        ONE,
        BATCH,
    ),
    "OpenAI batch of responses": (
        "x.jsonl",
        batch(
            lambda text: {
                "response": {
                    "body": {
                        "output": [
                            {"type": "reasoning", "summary": []},
                            {"type": "message", "content": [{"type": "output_text", "text": text}]},
                        ]
                    }
                }
            }
        ),
        ONE,
        BATCH,
    ),
    "several answers": (
        "x.jsonl",
        batch(
            lambda text: {
                "response": {
                    "body": {"choices": [{"message": {"content": text}}, {"message": {"content": f"{text}了"}}]}
                }
            }
        ),
        [(name, f"{text}{end}") for name, text in ONE for end in ("", "了")],
        "answers beyond the first of a model, read as captions too",
    ),
    "Anthropic batch": (
        "x.jsonl",
        batch(lambda text: {"result": {"message": {"role": "assistant", "content": [{"type": "text", "text": text}]}}}),
        ONE,
        BATCH,
    ),
    "Gemini batch": (
        "x.jsonl",
        jsonl(
            *(
                {
                    "request": {"contents": [{"parts": [{"fileData": {"fileUri": name}}, {"text": "描述"}]}]},
                    "response": {"candidates": [{"content": {"parts": [{"text": caption}], "role": "model"}}]},
                }
                for name, caption in ONE
            )
        ),
        ONE,
        BATCH,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exported_files(write, name):
    assert_read(write, *CASES[name])


def test_lists_of_different_lengths(write):
    with pytest.raises(CorpusError, match=r"its lists differ in length \('image' has 3, 'caption' has 2\)"):
        read_corpus(write("x.json", {"image": ["a.jpg", "b.jpg", "c.jpg"], "caption": [DOG, CAT]}))


def test_releases_as_splits(write):
    names = ("train2017", "val_2014", "evaluation", "Test")
    read = read_corpus(write("x.csv", "image,caption,split\n" + "".join(f"{at}.jpg,{DOG},{at}\n" for at in names)))
    assert list(read["split"]) == ["train", "val", "val", "test"]


def test_coco_with_captions_in_two_languages(write):
    path = write("x.json", COCO)
    with pytest.raises(CorpusError, match=r"2 keys could be the caption: caption .*caption_zh .*--caption-column"):
        read_corpus(path)
    for column, expected in (("caption_zh", ONE), ("caption", ENGLISH)):
        read = read_corpus(path, caption_column=[column])
        assert list(zip(read["image"], read["caption"], strict=True)) == expected
        assert "keys not read (" in str(read.attrs["files"]) and "worker" in str(read.attrs["files"])


def test_coco_names_keys_that_are_not_read(write):
    annotations = [{"image_id": 1, "caption": DOG, "mood": "x"}, {"image_id": 2, "text": CAT}]
    read = read_corpus(write("x.json", COCO | {"annotations": annotations}))
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE
    assert read.attrs["files"][0]["notes"] == {"keys not read (mood)": 1}
