"""IIIF manifests and answers of Wikimedia's API."""

import json

import pytest
from corpus_cases import DOG, GIRL

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CONTEXT = {"@context": "http://iiif.io/api/presentation/2/context.json", "@type": "sc:Manifest", "label": "馆藏"}
TEXTS = {"GM-1": DOG, "GM-2": GIRL}
WIKIMEDIA = "captions read from imageinfo[0].extmetadata.ImageDescription of Wikimedia's files, without HTML"


def canvas(name, **texts):
    service = {"@context": "http://iiif.io/api/image/2/context.json", "@id": f"https://iiif.org/2/{name}"}
    resource = {
        "@id": f"https://iiif.org/2/{name}/full/full/0/default.jpg",
        "@type": "dctypes:Image",
        "service": service,
    }
    images = [{"@type": "oa:Annotation", "motivation": "sc:painting", "resource": resource}]
    return {"@id": f"https://x.org/{name}", "@type": "sc:Canvas", "height": 3, **texts, "images": images}


def manifest(make):
    sequence = {"@type": "sc:Sequence", "canvases": [canvas(name, **make(text)) for name, text in TEXTS.items()]}
    return {**CONTEXT, "metadata": [{"label": "x", "value": "y"}], "sequences": [sequence]}


def read(write, name, document, **options):
    for image in (*TEXTS, "Dog_on_beach", "Girl"):
        write(f"photos/{image}.jpg", b"\xff")
    corpus = read_corpus(write(name, document), images=write("photos/x.txt", "").parent, **options)
    return dict(zip(corpus["image"], corpus["caption"], strict=True)), corpus.attrs["files"][0]["notes"]


@pytest.mark.parametrize(
    "make",
    [
        lambda text: {"label": text},
        lambda text: {"label": "1r", "description": f"<p>{text}</p>"},
        lambda text: {"label": {"@value": text, "@language": "zh"}},
        lambda text: {"label": [{"@value": text, "@language": "zh"}]},
    ],
)
def test_manifests_of_version_2(write, make):
    expected = {f"{name}.jpg": text for name, text in TEXTS.items()}
    found, notes = read(write, "m.json", manifest(make))
    assert found == expected
    assert notes["image names read from the pictures on the canvases of IIIF"] == 2
    parts = [{**CONTEXT, "sequences": [{"canvases": [canvas(name, **make(text))]}]} for name, text in TEXTS.items()]
    assert read(write, "list.json", parts)[0] == expected


def test_manifests_in_two_languages(write):
    document = manifest(
        lambda text: {"label": [{"@value": text, "@language": "zh"}, {"@value": "x", "@language": "en"}]}
    )
    with pytest.raises(CorpusError, match=r"2 keys could be the caption: label\.zh .*, label\.en"):
        read(write, "m.json", document)
    assert list(read(write, "m.json", document, caption_column=["label.zh"])[0].values()) == [DOG, GIRL]


def test_pictures_by_their_service(write):
    document = manifest(lambda text: {"label": text})
    for item in document["sequences"][0]["canvases"]:
        del item["images"][0]["resource"]["@id"]
    assert read(write, "m.json", document)[0] == {"GM-1.jpg": DOG, "GM-2.jpg": GIRL}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (manifest(lambda text: {}), "manifest of IIIF whose canvases have no label, summary or description"),
        (CONTEXT | {"manifests": [{"@id": "https://x", "label": "瓶"}]}, "without canvases, .* download the manifests"),
        (
            {
                "@context": "http://iiif.io/api/presentation/3/context.json",
                "type": "Collection",
                "items": [{"id": "x"}],
            },
            "without canvases, .* download the manifests",
        ),
    ],
)
def test_documents_of_iiif_without_texts(write, document, message):
    with pytest.raises(CorpusError, match=rf"m\.json is a .*{message}"):
        read(write, "m.json", document)


def page(number, title, description):
    url = f"https://upload.wikimedia.org/wikipedia/commons/a/ab/{title.replace(' ', '_')}"
    about = {"ImageDescription": {"value": description, "source": "x"}, "Artist": {"value": "<a>me</a>"}}
    info = [{"url": url, "descriptionurl": "https://x", "extmetadata": about if description else {}}]
    return {"pageid": number, "ns": 6, "title": f"File:{title}", "imagerepository": "local", "imageinfo": info}


PAGES = [page(7, "Dog on beach.jpg", f'<p>{DOG}<br> <a href="//x" title="y">海滩</a></p>'), page(8, "Girl.jpg", GIRL)]
ANSWERS = {
    "by id": {"batchcomplete": "", "query": {"normalized": [], "pages": {"7": PAGES[0], "8": PAGES[1]}}},
    "list": {"query": {"pages": PAGES}},
    "missing": {"query": {"pages": [*PAGES, {"ns": 6, "title": "File:No.jpg", "missing": True}]}},
    "several": [{"query": {"pages": {"7": PAGES[0]}}}, {"query": {"pages": [PAGES[1]]}}],
    "only pages": PAGES,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_wikimedia(write, name):
    expected = {"Dog_on_beach.jpg": f"{DOG} 海滩", "Girl.jpg": GIRL}
    found, notes = read(write, "x.json", ANSWERS[name])
    assert (found, notes[WIKIMEDIA]) == (expected, 2)
    if name == "missing":
        assert notes["pages of Wikimedia without imageinfo, left out"] == 1
    if name == "several":
        found, notes = read(write, "x.jsonl", "".join(f"{json.dumps(item)}\n" for item in ANSWERS[name]))
        assert (found, notes[WIKIMEDIA]) == (expected, 2)


def test_descriptions_in_several_languages(write):
    div = '<div class="description" lang="{}"><span class="language {}"><b>x：</b></span> {}</div>'
    for value in (
        {"zh": DOG, "en": "a dog", "_type": "lang"},
        div.format("zh", "zh", DOG) + div.format("en", "en", "a"),
    ):
        document = {"query": {"pages": [page(8, "Girl.jpg", value)]}}
        found, notes = read(write, "x.json", document, caption_column=["caption.zh"])
        assert found == {"Girl.jpg": DOG}
        assert notes[WIKIMEDIA] == 1


def test_pages_without_descriptions(write):
    with pytest.raises(CorpusError, match=r"has 1 pages of Wikimedia's API without descriptions .*iiprop=url\|extmeta"):
        read(write, "x.json", {"query": {"pages": {"8": page(8, "Girl.jpg", "")}}})
    found, _ = read(write, "x.json", {"query": {"pages": [page(8, "Girl.jpg", ""), PAGES[0]]}})
    assert list(found) == ["Dog_on_beach.jpg"]
