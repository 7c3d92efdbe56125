"""Exported files that are ambiguous or have no captions: an error that says what to do."""

import re

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, batch, below, table

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

AMBIGUOUS = {
    "two kinds": (
        "x.jsonl",
        below(lambda texts: {"annotations": {"human": texts, "machine": texts[:1]}}),
        r"2 keys could be the caption: annotations.human .*; choose with caption_column \(--caption-column\) annot",
        "human",
    ),
    "two kinds by name": (
        "x.json",
        {name: {"human": [caption], "machine": [GIRL]} for name, caption in TWO[::2]},
        r"2 keys could be the caption: human .*, machine .*; choose with caption_column .* human or read",
        "human",
    ),
    "a title beside": (
        "x.jsonl",
        below(lambda texts: {"title": "动物的照片", "annotations": {"human": texts}}),
        r"2 keys could be the caption: title .*, annotations.human",
        "annotations.human",
    ),
    "two languages by number": (
        "x.json",
        {
            "0": {"file": "a.jpg", "zh": DOG, "en": "a dog runs on the grass"},
            "1": {"file": "b.jpg", "zh": CAT, "en": "two cats are asleep"},
        },
        r"2 keys could be the caption: zh .*, en .*; choose with caption_column \(--caption-column\) zh",
        "zh",
    ),
    "documents of two folders with an equal name": (
        "x.json",
        {"cats": {"a.jpg": [CAT], "c.jpg": [CAT]}, "dogs": {"a.jpg": [DOG], "b.jpg": [DOG]}},
        r"2 keys hold captions of the same images: cats, dogs; choose .* folders, .* such as 'cats/a\.jpg'",
        "dogs",
    ),
    "documents of two kinds": (
        "x.json",
        {"human": {"a.jpg": [DOG], "b.jpg": [CAT]}, "machine": {"a.jpg": [GIRL], "b.jpg": [GIRL]}},
        r"2 keys hold captions of the same images: human, machine; choose with caption_column .* human or read",
        "human",
    ),
    "COCO": (
        "x.json",
        {
            "images": [{"id": 1, "file_name": "a.jpg"}],
            "annotations": [{"image_id": 1, "caption": {"human": [DOG], "machine": [CAT]}}],
        },
        "2 keys could be the caption: caption.human .*, caption.machine",
        "human",
    ),
    "Label Studio": (
        "x.json",
        [
            {
                "data": {"image": "a.jpg"},
                "annotations": [{"result": [{"from_name": name, "value": {"text": [text]}} for name, text in texts]}],
            }
            for texts in [(("zh", DOG), ("en", "a dog"))] * 2
        ],
        r"2 keys could be the caption: zh.caption .*, en.caption",
        "zh",
    ),
    "several images in a row": (
        "x.csv",
        f"image_1,caption_1,image_2,caption_2\na.jpg,{DOG},b.jpg,{CAT}\n",
        r"the columns image_1, image_2 each name an image; .* image_column \(--image-column\) image_1 and",
        None,
    ),
    "SQL": (
        "x.sql",
        f"INSERT INTO c VALUES ('a.jpg', '{DOG}');\n",
        "a dump of an SQL database .export the table",
        None,
    ),
    "XML": ("x.xml", f"<?xml version='1.0'?>\n<c name='a.jpg'>{DOG}</c>\n", "an XML file .convert it to CSV", None),
    "UTF-32": ("x.csv", table(DOG, CAT).encode("utf-32"), r"text in UTF-32 \(save it as UTF-8\)", None),
    "requests": (
        "x.jsonl",
        batch(lambda text: {"url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": text}]}}),
        r"line 1: it is a request to a model, without an answer; pass the file of the answers",
        None,
    ),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_several_kinds_of_captions_ask_for_one(write, name):
    file, content, message, column = AMBIGUOUS[name]
    path = write(file, content)
    with pytest.raises(CorpusError, match=message):
        read_corpus(path)
    if column:
        captions = set(read_corpus(path, caption_column=[column])["caption"])
        assert captions <= {DOG, CAT, GIRL} and DOG in captions and "动物的照片" not in captions


def test_settings_beside_images_are_no_captions(write, tmp_path):
    from PIL import Image

    for name, caption in ONE:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
        write(name.replace(".jpg", ".txt"), caption)
    write("config.json", {"lr": 1, "steps": 5})
    read = read_corpus(tmp_path)
    assert list(zip(read["image"], read["caption"], strict=True)) == ONE
    assert read.attrs["files"][0]["notes"] == {"JSON files beside the images, not read (config.json)": 1}


QUESTION = {"image_id": 1, "question_id": 10, "question": "What color is the dog?"}

ANSWER = {"image_id": 1, "question_id": 10, "multiple_choice_answer": "red", "answers": [{"answer": "red"}]}

REGION = {"region_id": 1, "image_id": 1, "x": 1, "y": 2, "width": 5, "height": 5, "phrase": "a dog"}

NO_CAPTIONS = {
    "questions": ({"info": {}, "questions": [QUESTION]}, "questions or answers about images (VQA), not captions"),
    "answers": ({"annotations": [ANSWER]}, "questions or answers about images (VQA), not captions"),
    "refcoco": (
        [{"ref_id": 1, "image_id": 1, "category_id": 1, "sent_ids": [1], "sentences": [{"sent": "a dog"}]}],
        "referring expressions, which tell single objects apart (RefCOCO), not captions; read a file of captions",
    ),
    "regions": ([{"id": 1, "regions": [REGION]}], "descriptions of regions (Visual Genome), not captions"),
    "images": (
        {"images": [{"id": 1, "file_name": "1.jpg", "width": 4}], "categories": []},
        "lists images without captions; read the file of their captions",
    ),
}


@pytest.mark.parametrize("name", NO_CAPTIONS)
def test_documents_without_captions(write, name):
    document, message = NO_CAPTIONS[name]
    with pytest.raises(CorpusError, match=re.escape(message)):
        read_corpus(write("x.json", document))


def test_box_labels_are_no_captions(write, tmp_path):
    for at in range(3):
        write(f"d/{at}.jpg", b"\xff")
        write(f"d/{at}.txt", f"{at} 0.5 0.5 0.25 0.375\n1 0 1 .5 1e-05\n")
    with pytest.raises(CorpusError, match=r"box labels \(such as '0 0.5 0.5 0.25 0.375'\), not captions"):
        read_corpus(tmp_path / "d")


def test_captions_that_are_objects_name_the_keys_with_texts(write):
    comments = [{"timestamp": 1, "comment": "真好看", "author": "李雷"}]
    photos = [
        {"uri": f"{number}.jpg", "title": "旅行", "creation_timestamp": 9, "description": text}
        for number, text in enumerate(("一碗牛肉面", "湖边骑自行车", "一只狗在跑"))
    ]
    photos.append({"uri": "3.jpg", "title": "旅行", "creation_timestamp": 9, "comments": comments})
    path = write("x.json", {"name": "旅行", "photos": photos})
    advice = (
        r"read the texts of another key with caption_column \(--caption-column\) description \(or title\), or write"
    )
    with pytest.raises(CorpusError, match=rf"entry 4: .* keys 'timestamp, comment, author'; {advice}"):
        read_corpus(path)
    assert len(read_corpus(path, caption_column=["description"])) == 3


def test_lists_of_keys_begin_with_texts_and_have_whole_names(write):
    counts = {
        f"{name}_of_the_entry_of_the_archive": 7 for name in ("size", "likes", "reposts", "bytes", "views", "tags")
    }
    media = {"media": [{"id": 3, "media_url": "http://x.org/1.jpg"}]}
    entry = {**counts, "full_text": "a dog runs", "extended": media, "note": "it is old", "age": 3, "lang": 3}
    path = write("x.json", [{"post": dict(entry)}, {"post": dict(entry)}])
    with pytest.raises(
        CorpusError, match=r"keys post\.full_text, post\.extended, post\.note, post\.size_of_the_entry_of"
    ):
        read_corpus(path)
    with pytest.raises(CorpusError) as error:
        read_corpus(path, caption_column=["foo"], image_column="post.extended")
    listed = str(error.value).partition("the keys are ")[2].rstrip(".").split(", ")
    assert listed[0] == "post.full_text" and {f"post.{key}" for key in entry} >= set(listed[:-1])
