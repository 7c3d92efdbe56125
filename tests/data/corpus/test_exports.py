"""Captions as annotation tools, models and programs export them: the right captions, and a note."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, batch, below, jsonl, table

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

THREE = [*ONE, ("c.jpg", GIRL)]
ENGLISH = [("a.jpg", "a dog on the grass"), ("b.jpg", "two cats")]


INSIDE = "lists inside lists or objects"
NUMBERED = "captions below numbered keys ('annotator')"
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
    # Lists one level deeper
    "object with a list": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": {"text": [DOG, GIRL]}},
            {"image": "b.jpg", "caption": {"text": [CAT, DOG]}},
        ),
        TWO,
        INSIDE,
    ),
    "list of objects with lists": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "captions": [{"text": [DOG, GIRL]}]},
            {"image": "b.jpg", "captions": [{"text": [CAT, DOG]}]},
        ),
        TWO,
        INSIDE,
    ),
    "list in a list": (
        "x.json",
        [{"image_id": "a.jpg", "caption": [[DOG, GIRL]]}, {"image_id": "b.jpg", "caption": [[CAT, DOG]]}],
        TWO,
        INSIDE,
    ),
    "list in a list, English": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": [["a dog runs", "a dog plays"]]},
            {"image": "b.jpg", "caption": [["two cats", "cats asleep"]]},
        ),
        [("a.jpg", "a dog runs"), ("a.jpg", "a dog plays"), ("b.jpg", "two cats"), ("b.jpg", "cats asleep")],
        INSIDE,
    ),
    "words in an object": (
        "x.jsonl",
        jsonl(
            {"image": "a.jpg", "caption": {"text": ["一只", "狗", "在", "草地", "上", "跑"]}},
            {"image": "b.jpg", "caption": {"text": ["两只", "猫", "在", "睡觉"]}},
        ),
        ONE,
        "captions joined from lists of words",
    ),
    # Captions below a key per kind
    "one kind": ("x.jsonl", below(lambda texts: {"annotations": {"human": texts}}), TWO, "the key 'annotations.human'"),
    "one kind in a list": (
        "x.json",
        [{"image": name, "annotations": {"human": [caption]}} for name, caption in ONE],
        ONE,
        "captions read from the key 'annotations.human'",
    ),
    "one kind of objects": (
        "x.jsonl",
        below(lambda texts: {"captions": {"human": [{"text": text, "id": 1} for text in texts]}}),
        TWO,
        "captions read from the key 'captions.human'",
    ),
    "one kind by name": ("x.json", {name: {"human": [caption]} for name, caption in ONE}, ONE, "from the key 'human'"),
    "one kind, deeper": (
        "x.jsonl",
        below(lambda texts: {"data": {"labels": {"captions": {"human": texts}}}}),
        TWO,
        "captions read from the key 'data.labels.captions.human'",
    ),
    "one kind beside others": (
        "x.jsonl",
        below(lambda texts: {"meta": {"city": "上海", "width": 9}, "annotations": {"human": texts}}),
        TWO,
        "keys not read (meta.city, meta.width)",
    ),
    "a kind per object": (
        "x.jsonl",
        below(lambda texts: {"captions": [{"human": text} for text in texts]}),
        TWO,
        "captions read from the key 'human' of objects",
    ),
    "a kind in a cell": (
        "x.csv",
        "image,caption\n" + "".join(f'{name},"{{""human"": ""{caption}""}}"\n' for name, caption in ONE),
        ONE,
        "captions read from the key 'human' of objects",
    ),
    "annotators": (
        "x.jsonl",
        below(lambda texts: {"captions": dict(zip(("annotator_1", "annotator_2"), texts, strict=True))}),
        TWO,
        NUMBERED,
    ),
    "annotators by name": (
        "x.json",
        {"a.jpg": {"annotator_a": DOG, "annotator_b": GIRL}, "b.jpg": {"annotator_a": CAT, "annotator_b": DOG}},
        TWO,
        NUMBERED,
    ),
    "the image below a key": (
        "x.jsonl",
        jsonl(*({"data": {"file_name": name}, "result": {"caption": caption}} for name, caption in ONE)),
        ONE,
        "captions read from the key 'result.caption'",
    ),
    "two kinds of different images": (
        "x.json",
        {"human": {"a.jpg": [DOG]}, "machine": {"b.jpg": [CAT]}},
        ONE,
        "keys read (human, machine)",
    ),
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
    file, content, expected, note = CASES[name]
    read = read_corpus(write(file, content))
    notes = read.attrs["files"][0]["notes"]
    assert list(zip(read["image"], read["caption"], strict=True)) == expected
    assert any(note in text for text in notes) if note else not notes, notes
    assert all(notes.values()), notes


def test_lists_of_different_lengths(write):
    with pytest.raises(CorpusError, match=r"its lists differ in length \('image' has 3, 'caption' has 2\)"):
        read_corpus(write("x.json", {"image": ["a.jpg", "b.jpg", "c.jpg"], "caption": [DOG, CAT]}))


def test_parquet_with_captions_below_keys(tmp_path):
    import pandas as pd

    def read(**columns):
        pd.DataFrame({"image": ["a.jpg", "b.jpg"], **columns}).to_parquet(tmp_path / "x.parquet")
        return read_corpus(tmp_path / "x.parquet", caption_column=["human"] if "captions" in columns else [])

    kinds = [{"human": [DOG, GIRL], "n": 1}, {"human": [CAT, DOG], "n": 2}]
    found = read(annotations=kinds)
    assert list(zip(found["image"], found["caption"], strict=True)) == TWO
    assert found.attrs["files"][0]["notes"] == {
        "captions read from the column 'annotations.human'": 1,
        "columns not read (annotations.n)": 1,
    }
    found = read(captions=[kind | {"machine": [GIRL]} for kind in kinds])
    assert list(zip(found["image"], found["caption"], strict=True)) == TWO
    with pytest.raises(CorpusError, match=r"2 columns could be the caption: captions.human .*, captions.machine"):
        read_corpus(tmp_path / "x.parquet")
    found = read(caption=[{"text": text, "lang": "zh"} for text in (DOG, CAT)])
    assert list(zip(found["image"], found["caption"], strict=True)) == ONE


def test_json_beside_images(write, tmp_path):
    for name, caption in ONE:
        write(f"d/{name}", b"\xff")
        write(f"d/{name.replace('.jpg', '.json')}", {"title": name, "caption": caption, "url": f"http://x/{name}"})
    with pytest.raises(
        CorpusError, match=r"2 images have a .json file .*; read them with text_suffix \(--text-suffix\) .json"
    ):
        read_corpus(tmp_path / "d")
    read = read_corpus(tmp_path / "d", text_suffix=".json")
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE


def test_text_files_in_a_folder_of_their_own(write, tmp_path):
    for name, caption in ONE:
        write(f"images/in/{name}", b"\xff")
        write(f"labels/in/{name.replace('.jpg', '.txt')}", f"{caption}\n")
    read = read_corpus(tmp_path / "labels", images=tmp_path / "images")
    assert list(zip(read["image"], read["caption"], strict=True)) == [(f"in/{name}", text) for name, text in ONE]
    assert "folders of text files only, read as captions of the images with their names" in str(read.attrs["files"])
    with pytest.raises(CorpusError, match="No caption file was recognized"):
        read_corpus(tmp_path / "labels")
    message = r"recognized in .*; pass .*/labels/in with images .--images. .*/images/in\."
    for folder in ("images", "labels"):
        (tmp_path / folder / "in").rename(tmp_path / f"{folder}2")
        (tmp_path / folder).rmdir()
        (tmp_path / f"{folder}2").rename(tmp_path / folder)
    with pytest.raises(CorpusError, match=message.replace("/in", "")):
        read_corpus(tmp_path)


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


def test_split_lists_beside_a_file(write):
    write("train.txt", "a.jpg\n")
    write("val.txt", "b\n")
    write("test.txt", "c.jpg\n")
    read = read_corpus(write("captions.csv", f"{table(DOG, CAT)}c.jpg,{GIRL}\n"))
    assert list(read["split"]) == ["train", "val", "test"]
    note = "images with the splits of the lists beside the file (train.txt, val.txt, test.txt)"
    assert read.attrs["files"][0]["notes"] == {note: 3}
    write("val.txt", "a.jpg\n")
    with pytest.raises(CorpusError, match=r"val.txt: a is also listed for train"):
        read_corpus(write("captions.csv", table(DOG, CAT)))


def test_lists_of_other_images_are_ignored(write):
    write("train.txt", "p.jpg\nq.jpg\n")
    assert not read_corpus(write("captions.csv", table(DOG, CAT))).attrs["files"][0]["notes"]


def note_of(read):
    [note] = read.attrs["files"][0]["notes"]
    return note


def test_text_files_that_are_not_read_are_counted(write, tmp_path):
    for name, caption in ONE:
        write(f"d/{name}", b"\xff")
        write(f"d/{name.replace('.jpg', '.txt')}", caption)
        write(f"d/{name.replace('.jpg', '_caption.txt')}", GIRL)
    lines = jsonl(*({"file_name": name, "text": f"{caption}了"} for name, caption in ONE))
    file, other = write("d/metadata.jsonl", lines), write("other.jsonl", lines)
    expected = (
        r"text files beside images, not read (2 .txt, 2 _caption.txt; pass the folder with text_suffix (--text-suffix) "
        ".txt to read them instead)"
    )
    for source, images in ((tmp_path / "d", None), (file, None), (other, tmp_path / "d")):
        read = read_corpus(source, images=images)
        assert list(read["caption"]) == [f"{caption}了" for _, caption in ONE] and note_of(read) == expected
    both = read_corpus([file, f"{tmp_path / 'd'}:text_suffix=.txt"])
    assert len(both) == 4 and not any(item["notes"] for item in both.attrs["files"])
    file.unlink()
    read = read_corpus(tmp_path / "d")
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE
    assert note_of(read).startswith(
        "text files beside images, not read (2 _caption.txt; text_suffix (--text-suffix) _caption.txt"
    )
    assert set(read_corpus(tmp_path / "d", text_suffix="_caption.txt")["caption"]) == {GIRL}
    for name, _ in ONE:
        (tmp_path / "d" / name.replace(".jpg", ".txt")).unlink()
    with pytest.raises(
        CorpusError, match=r"2 images have a _caption\.txt file .*text_suffix \(--text-suffix\) _caption\.txt"
    ):
        read_corpus(tmp_path / "d")
