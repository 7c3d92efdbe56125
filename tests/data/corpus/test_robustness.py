"""Random and damaged files give a valid table or a CorpusError that names the place."""

import json
import re

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caption_tx.data.corpus.formats import READERS
from caption_tx.data.corpus.summary import summarize_corpus
from caption_tx.data.corpus.table import read_corpus
from caption_tx.errors import CorpusError

FORMATS = [name for name in READERS if name not in ("excel", "folder")]
LAYOUTS = [*FORMATS, "flickr8k, segmented"]


PIECES = [
    *(piece.encode() for piece in '#,\t\n\r"[]{}: |&\0\u2028'),
    *(b"a.jpg", b"#zhc#0 ", b"image,caption,split", b"image\tcaption", b"train", b"\xef\xbb\xbf", b"\xff\xfe", b"PAR1"),
    *(
        b'{"image_id": "a", "caption": ["x"]}',
        b'"\\ud800"',
        "狗".encode(),
        "狗".encode("gbk"),
        b"1e999",
        b"NaN",
        b"null",
    ),
    *(
        b"COCO_val2014_000000000042#0\t",
        b"image_name| comment_number| comment\n",
        b"A" * 100,
        b'{"images": [',
        b"&&",
    ),
]
BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join),
)
WHOLE_FILE = re.compile(
    "unknown caption format|no captions found|found a JSON|found the keys|could be the caption|found .*convert it"
    "|expected text columns|none of its images|has images in base64|No caption file was recognized|no other encoding"
    "|have several files"
)
MANY_EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def mutated(draw, data):
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["delete", "repeat", "replace", "insert", "flip"]))
        if kind == "delete":
            data = data[:start] + data[stop:]
        elif kind == "repeat":
            data = data[:stop] + data[start:stop] * draw(st.integers(1, 5)) + data[stop:]
        elif kind == "replace":
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[stop:]
        elif kind == "insert":
            data = data[:start] + draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4))) + data[start:]
        else:
            data = (
                data[:start]
                + bytes(byte ^ draw(st.integers(1, 255)) for byte in data[start : start + 1])
                + data[start + 1 :]
            )
    return data


def write(path, content):
    """Writes a new file: ext4 stores one that is overwritten at once, which takes milliseconds."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def check_read_corpus(path, format):
    try:
        table = read_corpus(path, format=format)
    except CorpusError as error:
        message = str(error)
        assert path.name in message
        whole_file = re.match(rf"{re.escape(str(path))}\S* is ", message) or WHOLE_FILE.search(message)
        assert whole_file or re.search(r"(line|entry|row) \d+", message), message
        return
    assert len(table) > 0
    assert table["caption"].str.strip().ne("").all() and table["image"].ne("").all()
    assert not table["image"].str.contains("\0", regex=False).any()
    assert table["split"].isin(["train", "val", "test"]).all() and table["origin"].isin(["human", "machine"]).all()
    assert (table["line"] > 0).all()
    for column in ("image", "caption"):
        "".join(table[column]).encode()
    assert summarize_corpus(table)["captions"] == len(table)
    json.dumps(table.attrs)


@pytest.mark.parametrize("format", [None, *FORMATS])
@MANY_EXAMPLES
@given(content=BYTES, suffix=st.sampled_from([".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet"]))
def test_random_bytes(tmp_path, format, content, suffix):
    path = tmp_path / f"captions{suffix}"
    write(path, content)
    check_read_corpus(path, format)


@pytest.fixture(scope="session")
def parquet_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    pd.DataFrame(
        {"image": ["a.jpg", "b.jpg"], "caption": [["one", "一只狗"], ["two"]], "split": ["train", ""]}
    ).to_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@MANY_EXAMPLES
@given(data=st.data(), named=st.booleans())
def test_damaged_file(tmp_path, samples, parquet_bytes, layout, named, data):
    name, content, _ = samples.get(layout, ("x.parquet", "", []))
    path = tmp_path / name
    write(path, data.draw(mutated(content.encode() or parquet_bytes)))
    check_read_corpus(path, layout.split(",")[0] if named else None)


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030"])
@MANY_EXAMPLES
@given(data=st.data())
def test_damaged_file_in_another_encoding(tmp_path, samples, encoding, data):
    path = tmp_path / "captions.txt"
    write(path, data.draw(mutated(samples["flickr8k"][1].encode(encoding))))
    check_read_corpus(path, "flickr8k")


@MANY_EXAMPLES
@given(texts=st.lists(BYTES, min_size=1, max_size=3), stray=BYTES)
def test_random_text_files_in_a_folder(tmp_path, texts, stray):
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    for index in range(3):
        write(folder / f"{index}.jpg", b"\xff")
        write(folder / f"{index}.txt", texts[index % len(texts)])
    write(folder / "stray.txt", stray)
    check_read_corpus(folder, "folder")
    check_read_corpus(folder, None)
