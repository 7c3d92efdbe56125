"""The names of images in exported files: the right ones, and a note."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, TWO, assert_read, jsonl

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

CASES = {
    # Objects by image name
    "URLs inside": (
        "x.json",
        {
            "a.jpg": {"captions": [DOG, GIRL], "url": "http://x/550"},
            "b.jpg": {"captions": [CAT, DOG], "url": "http://x/551"},
        },
        TWO,
        "image names read from the keys (such as 'a.jpg'), not from the entries ('http://x/550')",
    ),
    "one URL": (
        "x.json",
        {"a": {"caption": DOG, "url": "http://x"}, "b": {"caption": CAT, "url": "http://x"}},
        [("a", DOG), ("b", CAT)],
        "image names read from the keys",
    ),
    "ids inside": ("x.json", {"a.jpg": {"caption": DOG, "id": 9}, "b.jpg": {"caption": CAT, "id": 8}}, ONE, "the keys"),
    "file names inside": (
        "x.json",
        {"1": {"caption": DOG, "file_name": "a.jpg"}, "2": {"caption": CAT, "file_name": "b.jpg"}},
        ONE,
        None,
    ),
    "paths inside": (
        "x.json",
        {"a.jpg": {"caption": DOG, "path": "in/a.jpg"}, "b.jpg": {"caption": CAT, "path": "in/b.jpg"}},
        [("in/a.jpg", DOG), ("in/b.jpg", CAT)],
        "the entries",
    ),
    # Names
    "formulas": ("x.csv", 'image,caption\n"=""a.jpg""",' + DOG + '\n"=""b.jpg""",' + CAT + "\n", ONE, "in formulas"),
    "links": (
        "x.csv",
        'image,caption\n"=HYPERLINK(""http://x/a.jpg"",""a.jpg"")",' + DOG + '\n"=HYPERLINK(""b.jpg"")",' + CAT + "\n",
        ONE,
        "image names in formulas",
    ),
    "Markdown": ("x.csv", f"image,caption\n![](a.jpg),{DOG}\n![cat](b.jpg),{CAT}\n", ONE, "Markdown"),
    "apostrophes": ("x.csv", f"image,caption\n'a.jpg,{DOG}\n'b.jpg,{CAT}\n", ONE, "image names in"),
    "objects": (
        "x.csv",
        f"image,text\n\"{{'bytes': None, 'path': 'a.jpg'}}\",{DOG}\n\"{{'bytes': None, 'path': 'b.jpg'}}\",{CAT}\n",
        ONE,
        "read as 'a.jpg'",
    ),
    "messages": (
        "x.jsonl",
        jsonl(
            *(
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": name}}]},
                        {"role": "assistant", "content": caption},
                    ]
                }
                for name, caption in ONE
            )
        ),
        ONE,
        "captions read from the first answer of conversations",
    ),
    "files beside URLs": (
        "x.csv",
        f"dir,url,caption\na.jpg,https://x/1.jpg,{DOG}\nb.jpg,https://x/2.jpg,{CAT}\n",
        ONE,
        "image names read from the column 'dir'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_exported_files(write, name):
    assert_read(write, *CASES[name])


def test_answers_are_completed_from_the_files(write, tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    answer = {"body": {"choices": [{"message": {"content": DOG}}]}}
    read = read_corpus(write("x.jsonl", jsonl({"custom_id": "a", "response": answer})), images=tmp_path)
    assert list(read["image"]) == ["a.jpg"]
    task = {"data": {"image": "/data/upload/3/0a1b2c3d-a.jpg"}, "annotations": []}
    task["annotations"] = [{"result": [{"value": {"text": [DOG]}, "from_name": "zh"}]}]
    read = read_corpus(write("x.json", [task]), images=tmp_path)
    assert list(read["image"]) == ["a.jpg"]
    assert "ignoring what Label Studio puts before a name" in str(read.attrs["files"])


def test_names_that_have_files_are_read(write, tmp_path):
    from PIL import Image

    for name in ("1.jpg", "2.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    entries = {"1": {"caption": DOG, "file_name": "x1.jpg"}, "2": {"caption": CAT, "file_name": "x2.jpg"}}
    read = read_corpus(write("x.json", entries), images=tmp_path)
    assert list(read["image"]) == ["1.jpg", "2.jpg"]
    assert "image names read from the keys (such as '1'), not from the entries ('x1.jpg')" in str(read.attrs["files"])


def test_one_name_for_all_captions_is_reported(write):
    read = read_corpus(write("x.csv", f"image,caption\nu,{DOG}\nu,{CAT}\nu,{GIRL}\n"))
    assert "captions, all of one image ('u'; " in str(read.attrs["files"])


def test_objects_in_memory_are_no_names(write):
    text = f"image,text\n<PIL.JpegImageFile image mode=RGB size=9x7 at 0x7F0>,{DOG}\n"
    with pytest.raises(CorpusError, match="the image names are objects of Python"):
        read_corpus(write("x.csv", text))


def test_metadata_files_name_the_images_beside_them(write, tmp_path):
    from PIL import Image

    for folder, caption in (("train", DOG), ("test", CAT)):
        write(f"d/{folder}/metadata.csv", f"file_name,text\n1.jpg,{caption}\n")
        Image.new("RGB", (8, 8)).save(tmp_path / "d" / folder / "1.jpg")
    read = read_corpus(tmp_path / "d", images=tmp_path / "d")
    found = set(zip(read["image"], read["caption"], read["split"], strict=True))
    assert found == {("train/1.jpg", DOG, "train"), ("test/1.jpg", CAT, "test")}
    with pytest.raises(CorpusError, match=r"both name 1.jpg, which would be one image; pass images"):
        read_corpus(tmp_path / "d")


URLS = (
    "id,url,caption",
    "photo_id,image_url,caption",
    "sku,url,caption",
    "photo,file_name,caption",
    "img_id,path,text",
)


@pytest.mark.parametrize("header", [*URLS, "sku,n,caption", None])
def test_the_column_that_names_files_is_read(write, tmp_path, header):
    for name in ("0a.jpg", "0b.jpg"):
        write(f"photos/{name}", b"\xff")
    rows = [(name, f"http://x/{name}9.jpg", caption) for name, (_, caption) in zip(("0a", "0b"), ONE, strict=True)]
    lines = "".join("\t".join(row) + "\n" for row in rows)
    path = write("x.tsv", lines if header is None else header.replace(",", "\t") + "\n" + lines)
    read = read_corpus(path, images=tmp_path / "photos")
    assert list(zip(read["image"], read["caption"], strict=True)) == [("0a.jpg", DOG), ("0b.jpg", CAT)]
    column = "1" if header is None else header.split(",")[0]
    assert f"image names read from the column '{column}'" in str(read.attrs["files"])
    if header in URLS[:2]:
        assert list(read_corpus(path)["image"]) == [url for _, url, _ in rows]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("header", ["", "index\timage\tcaption\n"])
def test_wrapped_images_before_captions(write, header, quote):
    image = "\n".join(["/9j/" + "A" * 72] * 40)
    text = header + "".join(f"{at}\t{quote}{image}{quote}\t{DOG}\n" for at in range(3))
    with pytest.raises(CorpusError, match=r"images in base64|the image itself is in the file, in base64"):
        read_corpus(write("x.tsv", text))


@pytest.mark.parametrize("suffix", [None, ".txt"])
def test_images_that_share_the_name_of_a_text_file(write, tmp_path, suffix):
    for name in ("a.jpg", "a.png"):
        write(f"d/{name}", b"\xff")
    write("d/a.txt", DOG)
    with pytest.raises(CorpusError, match=r"a\.txt: several images have the name of the text file \(1 text files in"):
        read_corpus(tmp_path / "d", text_suffix=suffix)
