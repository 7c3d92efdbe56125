"""Image names that an address or a spreadsheet rewrote: the file is found, or the problem is named."""

import pytest
from corpus_cases import CAT, DOG, notes

from caption_tx.data.corpus.names.name_variants import find_variants
from caption_tx.data.corpus.names.rewritten_names import DATE, SIZE, find_dates, original_names
from caption_tx.data.corpus.table import read_corpus


@pytest.mark.parametrize(
    "name",
    [
        "x.jpg_460x460q100.jpg_.webp",
        "x.jpg_.webp",
        "x.jpg!w400",
        "x.jpg%21w400",
        "x.jpg@400w.webp",
        "x.jpg?imageView2/2/w/400",
        "x.jpg.webp",
        "x-300x200.jpg",
        "x-scaled.jpg",
        "x@2x.jpg",
        "https://a.org/x.jpg:large",
        "https://a.org/x.jpg/400x400",
        "https://a.org/x=s800",
        "https://a.org/iiif/3/x/full/max/0/default.jpg",
        "https://a.org/iiif/2/x.jpg/pct:1,2,30,40/,150/!90/gray.png",
        "https://a.org/x._AC_SX300_.jpg",
        "https://a.org/x_grande.jpg",
        "https://a.org/thumb/300px-x.jpg",
        "https://a.org/_next/image?url=%2Fphotos%2Fx.jpg&w=640",
    ],
)
def test_sizes_in_addresses(name):
    found = find_variants([name], ["x.jpg", "y.jpg"], present=["y.jpg"])
    assert found.files == {name: "x.jpg"}
    assert found.ignored[name][-1] == SIZE or "suffix" in found.ignored[name]


@pytest.mark.parametrize("name", ["x.jpg", "a b.jpeg", "x_b.jpg", "x.tar.gz", "https://img.jpg.org/a.png"])
def test_names_without_a_size(name):
    assert original_names(name) == []


@pytest.mark.parametrize(
    ("names", "files", "expected"),
    [
        ("1月1日,1月2日", "1-1.jpg,1-2.jpg,2-1.jpg", "1-1.jpg,1-2.jpg"),
        ("1-Jan,2-Jan", "1-1.jpg,1-2.jpg", "1-1.jpg,1-2.jpg"),
        ("1-Jan,01-Feb", "1-1.jpg,1-2.jpg", "1-1.jpg,1-2.jpg"),  # the day first
        ("2-Jan", "1-2.jpg,2-1.jpg", ","),  # either
        ("Jan-01,Jan-32", "01_01.png,1-32.png", "01_01.png,1-32.png"),
        ("2024/1/1,2024-01-02 00:00:00", "1-1.jpg,1-2.jpg", "1-1.jpg,1-2.jpg"),
        ("2001/2/3", "a/1-2-3.jpg", "a/1-2-3.jpg"),
        ("45292", "1-1.jpg", "1-1.jpg"),
        ("45292", "1-1.jpg,1-24.jpg", ""),
        ("13-1,may,1月", "13-2.jpg,5-1.jpg", ""),
        ("1月1日,1-Jan", "1-1.jpg", ""),
    ],
)  # fmt: skip
def test_dates_of_a_spreadsheet(names, files, expected):
    found = find_dates(names.split(","), files.split(","))
    assert list(found.values()) == [file for file in expected.split(",") if file]


def test_dates_are_reported(write, tmp_path):
    for name in ("1-1.jpg", "13-1.jpg"):
        write(f"photos/{name}", b"\xff\xd8")
    path = write("x.csv", f"图片编号,描述\n1月1日,{DOG}\n13-1,{CAT}\n3月5日,{CAT}\n")
    table = read_corpus(path, images=tmp_path / "photos")
    assert list(table["image"]) == ["1-1.jpg", "13-1.jpg", "3月5日"]
    assert notes(table)[f"image names found after ignoring {DATE} (of 2 missing)"] == 1
    advice = [note for note in notes(table) if "format the column as text" in note]
    assert len(advice) == 1 and "3月5日" in advice[0]
    assert any("format the column as text" in note for note in notes(read_corpus(path)))
