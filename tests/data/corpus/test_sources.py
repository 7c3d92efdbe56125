"""Sources: which file is read, in which format and encoding, and options that override the file."""

from pathlib import Path

import pytest

from caption_tx.config import Source
from caption_tx.data.corpus.sources import find_caption_file
from caption_tx.data.corpus.summary import format_summary, summarize_corpus
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import ConfigError, CorpusError


def rows(table, *columns):
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def test_source_options_override_the_file(write):
    first = write("a.csv", "image,caption,split\na.jpg,one,test\nb.jpg,two,\n")
    second = write("b.txt", "c.jpg#zhb#0 三\nc.jpg#zhc#1 四\n".encode("big5"))
    sources = [
        f"{first}:split=train,weight=0.25,stage=2",
        Source(str(second), "flickr8k", "big5", "val", "human", "photos/2"),
    ]
    table = read_corpus(sources)
    assert rows(table, "image", "split", "origin", "weight", "stage", "caption") == [
        ("a.jpg", "train", "human", 0.25, 2, "one"),
        ("b.jpg", "train", "human", 0.25, 2, "two"),
        ("photos/2/c.jpg", "val", "human", 1.0, 1, "三"),
        ("photos/2/c.jpg", "val", "human", 1.0, 1, "四"),
    ]
    assert (table.weight.dtype, table.stage.dtype) == ("float32", "int16")
    assert list(table.source) == [str(first)] * 2 + [str(second)] * 2
    assert [file["encoding"] for file in table.attrs["files"]] == ["utf-8", "big5"]
    assert set(read_corpus(f"{second}:origin=machine").origin) == {"machine"}
    assert summarize_corpus(table)["stages"] == [1, 2]
    assert "stages: 1, 2" in format_summary(summarize_corpus(table))


def test_source_options_override_arguments(write):
    path = write("a.txt", "a#0\tone\n")
    assert read_corpus(f"{path}:format=pairs", format="flickr8k").image[0] == "a#0"
    assert read_corpus(path, format="pairs").image[0] == "a#0"
    with pytest.raises(CorpusError, match="Unknown format 'klingon'"):
        read_corpus(f"{path}:format=klingon", format="pairs")
    with pytest.raises(CorpusError, match="unknown encoding 'klingon'"):
        read_corpus(f"{path}:encoding=klingon")
    with pytest.raises(ConfigError, match="weight"):
        read_corpus(f"{path}:weight=-1")


def test_path_objects_are_not_parsed(write):
    path = write("a.csv:split=train", "image,caption\na.jpg,one\n")
    assert list(read_corpus([path]).source) == [str(path)]
    with pytest.raises(CorpusError, match=r"no caption file or folder .*a\.csv; check"):
        read_corpus(str(path))


def test_file_given_twice_is_rejected(write, tmp_path):
    path = write("corpus/a.csv", "image,caption\na.jpg,one\n")
    (tmp_path / "link.csv").symlink_to(path)
    for other in (path, tmp_path / "link.csv", tmp_path / "corpus", tmp_path / "corpus" / ".." / "corpus" / "a.csv"):
        with pytest.raises(CorpusError, match=r"\.csv is given twice; list it once"):
            read_corpus([path, other])


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "loop"])
def test_invalid_paths(tmp_path, name):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(CorpusError, match=r"no caption file or folder|Cannot read the caption source"):
        read_corpus(tmp_path / name)


@pytest.mark.parametrize("source", ["gs://bucket/x.json", "gs://bucket/x.json:weight=2", Source("s3://bucket/x.json")])
def test_remote_caption_files_are_rejected(source):
    with pytest.raises(CorpusError, match=r"^(gs|s3)://bucket/x\.json is on a remote store; copy it here first"):
        read_corpus(source)


def test_invalid_arguments(write, tmp_path):
    path = write("a.csv", "image,caption\na.jpg,one\n")
    with pytest.raises(CorpusError, match=r"no caption file or folder .*missing\.csv"):
        read_corpus(tmp_path / "missing.csv")
    with pytest.raises(CorpusError, match=r"Unknown format 'klingon'; known formats: .*flickr8k"):
        read_corpus(path, format="klingon")
    with pytest.raises(CorpusError, match="No caption source"):
        read_corpus([])
    with pytest.raises(CorpusError, match="val_fraction"):
        read_corpus(path, val_fraction=1.5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="No caption file was recognized in"):
        read_corpus(tmp_path / "empty")


def test_unreadable_file(write, monkeypatch):
    path = write("a.csv", "image,caption\na.jpg,one\n")

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(CorpusError, match=r"a\.csv: Permission denied"):
        read_corpus(path)


def test_folder_with_one_caption_file(write, tmp_path):
    write("flickr8ktrain.txt", "1000_a\n2000_b\n")
    write("README.txt", "Some captions.\n")
    write("a.jpg", b"\xff\xd8")
    write("flickr8kzhc.caption.txt", "1000_a.jpg#zhc#0 女人\n2000_b.jpg#zhc#0 恋人\n")
    assert len(read_corpus(str(tmp_path))) == 2
    write("flickr8kenc.caption.txt", "1000_a.jpg#0\tA child\n")
    with pytest.raises(CorpusError, match=r"several.*flickr8kenc\.caption\.txt, flickr8kzhc\.caption\.txt"):
        read_corpus(tmp_path)


def test_file_of_a_folder(write, tmp_path):
    folder = tmp_path / "corpus"
    write("corpus/a.jpg", b"\xff")
    write("corpus/a.txt", "a.jpg\tlooks like a caption file")
    write("corpus/LICENSE.txt", "Do what you like.")
    assert find_caption_file(folder) == (folder, "folder")
    write("corpus/captions.csv", "image,caption\na.jpg,x\n")
    assert find_caption_file(folder) == (folder / "captions.csv", "csv")
    assert find_caption_file(folder, "folder") == (folder, "folder")
    write("corpus/more.json", [{"image_id": "a.jpg", "caption": ["x"]}])
    with pytest.raises(CorpusError, match=r"several caption files \(captions\.csv, more\.json\); pass the one"):
        find_caption_file(folder)
    assert find_caption_file(folder, "csv") == (folder / "captions.csv", "csv")
    assert find_caption_file(folder, "ai_challenger") == (folder / "more.json", "ai_challenger")
    with pytest.raises(CorpusError, match=r"No caption file was recognized in .*corpus"):
        find_caption_file(folder, "ofa")
    with pytest.raises(CorpusError, match=r"captions\.csv is a file; format 'folder' needs a folder"):
        find_caption_file(folder / "captions.csv", "folder")


@pytest.mark.parametrize(
    ("count", "advice"),
    [
        (1, r"pass the file itself, such as \S*/0\.jsonl\."),
        (3, r": \S*/0\.jsonl, .*/2\.jsonl\."),
        (7, r"/4\.jsonl and 2 more\."),
    ],
)
def test_all_files_in_folders_below_are_named(tmp_path, count, advice):
    for number in range(count):
        path = tmp_path / "corpus" / "dataset" / f"{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"image": "a.jpg", "prefix": "caption en"}\n')
    with pytest.raises(CorpusError, match=advice):
        read_corpus(tmp_path / "corpus")
