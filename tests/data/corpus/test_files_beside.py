"""Files beside images, and lists of splits beside a caption file, are read or counted."""

import pytest
from corpus_cases import CAT, DOG, GIRL, ONE, jsonl, table

from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError


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


@pytest.mark.parametrize(
    "form", ["{}_list.txt", "{}_ids.txt", "splits/{}.txt", "ImageSets/Main/{}.lst", "split/my-{}.txt"]
)
def test_split_lists_with_other_names(write, form):
    for split, name in (("train", "a.jpg"), ("dev", "b.jpg"), ("test", "c.jpg")):
        write(form.format(split), f"{name}\n")
    read = read_corpus(write("captions.csv", f"{table(DOG, CAT)}c.jpg,{GIRL}\n"))
    assert list(read["split"]) == ["train", "val", "test"]


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
