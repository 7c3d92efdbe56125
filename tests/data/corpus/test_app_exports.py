"""Records of table apps, scrapers and editors: attachments, nested fields and rich text."""

import json

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, jsonl, notes, rows

from caption_tx.data.corpus.table import read_corpus
from caption_tx.data.corpus.values.rich_text import rich_text
from caption_tx.errors import CorpusError

URL = "https://x.org/download"
RICH = "captions read from rich text, whose segments are joined"


def segments(text):
    return [{"text": text[:2], "type": "text"}, {"text": text[2:], "type": "url", "link": URL}]


def each(wrap):
    return [wrap(name, text) for name, text in ONE]


def feishu(name, text):
    photo = {"file_token": "t", "name": name, "type": "image/jpeg", "url": URL}
    person = {"id": "ou_1", "name": "李梅", "avatar_url": URL}
    return {"fields": {"图片": [photo], "描述": segments(text), "标注员": [person], "时间": 17}, "record_id": "r"}


def airtable(name, text):
    return {"id": "rec1", "fields": {"Photo": [{"id": "att1", "filename": name, "url": URL}], "Caption": text}}


def notion(name, text):
    spans = [{"type": "text", "plain_text": part, "text": {"content": part}} for part in (text[:3], text[3:])]
    files = [{"name": name, "type": "file", "file": {"url": URL}}]
    return {
        "object": "page",
        "properties": {
            "编号": {"id": "title", "type": "title", "title": [{"type": "text", "plain_text": "记录1"}]},
            "描述": {"id": "a", "type": "rich_text", "rich_text": spans},
            "图片": {"id": "b", "type": "files", "files": files},
        },
    }


def scrapy(name, text):
    return {"title": text, "image_urls": [URL], "images": [{"url": URL, "path": name, "checksum": "c"}]}


CASES = {
    "Feishu": ({"code": 0, "data": {"items": each(feishu), "total": 2}, "msg": "success"}, ONE, RICH),
    "Airtable": ({"records": each(airtable), "offset": "x"}, ONE, "captions read from the key 'fields.Caption'"),
    "Notion": ({"object": "list", "results": each(notion)}, ONE, RICH),
    "other names": (
        {"items": each(lambda name, text: {"fields": {"甲": [{"name": name, "url": URL}], "乙": text}})},
        ONE,
        "image names read from the key 'fields.甲'",
    ),
    "Strapi": (
        {"data": each(lambda name, text: {"attributes": {"text": text, "photo": {"data": {"name": name}}}})},
        ONE,
        "captions read from the key 'attributes.text'",
    ),
    "Elasticsearch": (
        {"hits": {"hits": each(lambda name, text: {"_id": "1", "_source": {"image": name, "caption": text}})}},
        ONE,
        "keys not read (_id)",
    ),
    "Scrapy": (jsonl(*each(scrapy)), ONE, "captions read from the key 'title'"),
    "Scrapy, several images": (
        jsonl({"title": DOG, "images": [{"path": "a.jpg"}, {"path": "b.jpg"}]}),
        [("a.jpg", DOG), ("b.jpg", DOG)],
        "captions of several images, read for each of them",
    ),
    "Scrapy's CSV": (
        f"title,images\n{DOG},\"[{{'url': '{URL}', 'path': 'a.jpg'}}]\"\n{CAT},\"[{{'path': 'b.jpg'}}]\"\n",
        ONE,
        "image names in lists written as text",
    ),
    "segments beside a name": (each(lambda name, text: {"图片": name, "描述": segments(text)}), ONE, RICH),
    "names of images as segments": (
        {"items": each(lambda name, text: {"fields": {"图片名": segments(name), "描述": segments(text)}})},
        ONE,
        RICH,
    ),
    "segments below names": ({name: segments(text) for name, text in ONE}, ONE, RICH),
    "several captions of segments": (
        {"a.jpg": [segments(DOG), segments(GIRL)], "b.jpg": [segments(CAT), segments(DOG)]},
        TWO,
        RICH,
    ),
    "segments in CSV": (
        "image\tcaption\n" + "".join(f"{name}\t{json.dumps(segments(text))}\n" for name, text in ONE),
        ONE,
        RICH,
    ),
    "Quill": (each(lambda name, text: {"image": name, "caption": {"ops": [{"insert": text + "\n"}]}}), ONE, RICH),
    "captions with keys": (
        {"a.jpg": [{"text": DOG, "type": "human"}, {"text": GIRL, "type": "human"}], "b.jpg": [{"text": CAT}]},
        [("a.jpg", DOG), ("a.jpg", GIRL), ("b.jpg", CAT)],
        "keys of captions not read (type)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_records(write, name):
    content, expected, note = CASES[name]
    suffix = "json" if not isinstance(content, str) else "jl" if content[0] == "{" else "csv"
    table = read_corpus(write(f"x.{suffix}", content))
    assert rows(table) == expected
    assert any(note in text for text in notes(table)), notes(table)


@pytest.mark.parametrize(
    "value",
    [
        [{"type": "p", "children": [{"text": "a "}, {"type": "link", "url": URL, "children": [{"text": "dog"}]}]}],
        [{"children": [{"text": "a "}, {"text": "dog"}]}],
        {"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "a dog"}]}]},
        {"type": "doc", "content": [{"type": "paragraph"}, {"type": "heading", "content": [{"text": "a dog"}]}]},
        {"ops": [{"insert": "a "}, {"insert": {"image": "x"}}, {"insert": "dog\n", "attributes": {"bold": True}}]},
        {"blocks": [{"key": "1", "text": "a dog", "type": "unstyled", "data": {}}], "entityMap": {}},
        {"time": 1, "blocks": [{"id": "x", "type": "paragraph", "data": {"text": "a dog"}}]},
        {"root": {"children": [{"children": [{"text": "a dog", "type": "text"}], "type": "paragraph"}]}},
        {"nodeType": "document", "content": [{"nodeType": "p", "content": [{"nodeType": "text", "value": "a dog"}]}]},
        [{"_type": "block", "children": [{"_type": "span", "text": "a dog", "marks": []}]}],
        [{"type": "rich_text", "elements": [{"type": "section", "elements": [{"type": "text", "text": "a dog"}]}]}],
        [{"text": "a "}, {"text": "dog", "bold": True}],
        ["a ", {"type": "bold", "text": "dog"}],
        [{"type": "plain", "text": "a "}, {"type": "bold", "text": "dog"}],
    ],
)  # fmt: skip
def test_rich_text_of_editors(value):
    assert rich_text(value) == "a dog"


@pytest.mark.parametrize(
    "value",
    [
        [{"text": "a dog"}, {"text": "it runs"}],
        [{"text": "a dog", "type": "human"}],
        [{"role": "assistant", "content": [{"type": "text", "text": "a dog"}]}],
        [{"name": "a.jpg", "type": "image/jpeg"}],
        {"text": "a dog", "rejected": True},
        {"content": ["a dog"]},
        ["a dog"],
        ["a dog", {"text": "it runs"}],
        [],
    ],
)
def test_other_values_are_no_rich_text(value):
    assert rich_text(value) is None


def test_messages_name_the_keys_of_entries(write):
    def record(photo, text):
        return {"fields": {"甲": photo, "乙": text, "丙": f"{text}了"}, "id": 7}

    path = write("x.json", {"data": {"items": each(record)}})
    with pytest.raises(
        CorpusError, match=r"2 keys could be the caption: fields\.乙 .* caption_column \(--caption-column\) fields\.乙"
    ):
        read_corpus(path)
    for image, caption in (("fields.甲", "fields.乙"), ("data.items[].fields.甲", "$.data.items[0].fields.乙")):
        assert rows(read_corpus(path, caption_column=[caption], image_column=image)) == ONE
    path = write("y.json", {"data": {"items": [{"fields": {"甲": 3, "乙": DOG}, "nr": 7}]}})
    with pytest.raises(CorpusError, match=r"entries with the keys fields\.乙, fields\.甲, nr; name those of"):
        read_corpus(path)
    path = write("z.jsonl", jsonl(*({"image": {"checksum": "c"}, "caption": DOG} for _ in range(2))))
    with pytest.raises(CorpusError, match=r"line 1: the key 'image' holds objects without .* \(their keys: checksum\)"):
        read_corpus(path)


def test_entries_without_an_image_are_not_read_by_their_id(write):
    messages = [{"id": at, "photo": f"{at}.jpg", "text": ["两只", {"type": "bold", "text": "猫"}]} for at in range(20)]
    path = write("x.json", {"name": "动物园", "messages": [*messages, {"id": 20, "text": DOG}]})
    table = read_corpus(path)
    assert rows(table) == [(f"{at}.jpg", "两只猫") for at in range(20)]
    assert [item[1] for item in table.attrs["skipped"]] == [21]


def canvas(name, label, summary=None):
    body = {"id": f"https://iiif.org/3/{name}/full/max/0/default.jpg", "type": "Image", "format": "image/jpeg"}
    page = {"id": "p", "type": "AnnotationPage", "items": [{"id": "a", "type": "Annotation", "body": body}]}
    texts = {"label": {"zh-Hans": [label]}, **({"summary": {"zh-Hans": [summary], "en": ["x"]}} if summary else {})}
    return {"id": "https://iiif.org/p3/1/canvas/1", "type": "Canvas", "height": 30, **texts, "items": [page]}


@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_manifests_of_iiif(write, ending):
    for name in ("GM-1", "GM-2"):
        write(f"photos/{name}.jpg", b"\xff")
    about = {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "type": "Manifest",
        "label": {"zh": ["馆藏"]},
    }
    texts = {"GM-1": "青花瓷瓶，瓶身绘缠枝莲纹", "GM-2": "一件铜制香炉，三足"}
    items = [canvas(f"{name}{ending}", text) for name, text in texts.items()]
    photos = write("photos/x.txt", "").parent
    table = read_corpus(write("m.json", {**about, "items": items}), images=photos)
    expected = [(f"{name}.jpg", text) for name, text in texts.items()]
    assert list(zip(table["image"], table["caption"], strict=True)) == expected
    notes = table.attrs["files"][0]["notes"]
    assert notes["image names read from the pictures on the canvases of IIIF"] == 2
    items = [canvas(f"{name}{ending}", f"图版{name}", text) for name, text in texts.items()]
    path = write("m.json", {**about, "items": items})
    with pytest.raises(CorpusError, match=r"keys could be the caption: label\.zh-Hans .*, summary\.zh-Hans"):
        read_corpus(path, images=photos)
    table = read_corpus(path, images=photos, caption_column=["summary.zh-Hans"])
    assert list(zip(table["image"], table["caption"], strict=True)) == expected
