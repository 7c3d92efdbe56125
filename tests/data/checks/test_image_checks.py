"""Checks of all images: duplicates, missing and unreadable files, unusual sizes, image tables."""

import base64
import os
import sys

import numpy as np
import pytest
from PIL import Image

from caption_tx.data.checks.text_report import format_report
from caption_tx.data.images.interpretation import KINDS
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError


def test_each_kind_of_image_problem_is_found(corpus, check, images):
    table = corpus(*images.rows)
    table.attrs["left_out"] = ["left_out.png"]
    progress_calls = []
    report = check(
        table,
        images=open_images(str(images.folder)),
        progress=lambda items, total, name: progress_calls.append((name, total)) or items,
    )
    assert progress_calls == [("images", 15), ("captions", 16)]
    examples = {kind: about["examples"] for kind, about in report["findings"].items()}
    assert [(example["image"], example["split"], example["detail"]) for example in examples["image_in_two_splits"]] == [
        ("leaked.png", "train", "also leak_val.png (val), leak_test.png (test)")
    ]
    assert [(example["image"], example["detail"]) for example in examples["duplicate_image"]] == [
        ("original.png", "also copy.png (train)")
    ]
    assert [(example["image"], example["detail"]) for example in examples["missing_image"]] == [
        ("missing.png", "2 captions; cannot be read: No such file or directory.")
    ]
    reasons = {example["image"]: example["detail"] for example in examples["unreadable_image"]}
    assert list(reasons) == ["truncated.png", "empty.jpg", "text.jpg", "huge.png"]
    assert reasons["truncated.png"].startswith("cannot be read: ")
    assert "truncated" in reasons["truncated.png"]
    assert "0 bytes" in reasons["empty.jpg"]
    assert "too large" in reasons["huge.png"]
    assert [(example["image"], example["detail"]) for example in examples["small_image"]] == [
        ("small.png", "63 x 200 pixels")
    ]
    assert [example["image"] for example in examples["narrow_image"]] == ["narrow.png"]
    assert examples["uncaptioned_image"] == [{"image": "uncaptioned.png"}]
    counts = report["checked_images"]
    names = ("files", "captioned", "read", "missing", "unreadable", "uncaptioned")
    assert [counts[name] for name in names] == [16, 15, 10, 1, 4, 1]
    assert counts["smallest"] == {"image": "good.png", "width": 80, "height": 70}
    assert counts["largest"]["image"] == "narrow.png"
    assert report["summary"]["problems"] == ["image_in_two_splits", "missing_image", "unreadable_image"]


def test_images_of_a_single_color_are_found(corpus, check, save_image, tmp_path):
    rng = np.random.default_rng(7)
    speck = Image.new("RGB", (200, 150), "white")
    speck.putpixel((17, 40), (0, 0, 0))
    noise = rng.integers(0, 9, (150, 200, 3), np.uint8)
    deep = rng.integers(0, 4096, (150, 200)).astype(np.uint16)  # 12 bits in a file of 16
    drawing = Image.new("RGB", (200, 150), "white")
    drawing.paste((0, 0, 0), (90, 60, 110, 90))
    pictures = {
        "black.png": Image.new("L", (200, 150)),
        "clear.png": Image.new("RGBA", (200, 150), (255, 255, 255, 0)),
        "speck.png": speck,
        "noise.png": Image.fromarray(noise),
        "red.png": Image.new("RGB", (200, 150), (200, 30, 30)),
        "deep.png": Image.fromarray(deep),
        "drawing.png": drawing,
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    save_image(tmp_path / "photo.png")
    table = corpus(*((name, "一只狗") for name in (*pictures, "photo.png")))
    found = check(table, images=open_images(str(tmp_path)))["findings"]["blank_image"]
    assert found["level"] == "warning"
    assert {example["image"]: example["detail"] for example in found["examples"]} == {
        "black.png": "black",
        "clear.png": "white",
        "speck.png": "white",
        "noise.png": "black",
        "red.png": "#c81e1e",
        "deep.png": "black",
    }


def test_image_tables_and_names_that_are_not_utf8(corpus, check, counts_by_kind, save_image, tmp_path):
    save_image(tmp_path / "a.png")
    coded = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    (tmp_path / "table.tsv").write_text(f"1\t{coded}\n2\t{coded}\n3\t!!\n5\t{coded}\n")
    table = corpus(("1", "一只狗"), ("2", "一只猫", "val"), ("3", "一只鸟"), ("4", "一只鸭"))
    report = check(table, images=open_images(str(tmp_path / "table.tsv")))
    assert {kind: count for kind, count in counts_by_kind(report).items() if "image" in kind} == {
        "image_in_two_splits": 1, "unreadable_image": 1, "missing_image": 1, "uncaptioned_image": 1
    }  # fmt: skip
    folder = tmp_path / "odd"
    save_image(folder / "1.png")
    save_image(folder / "x.png")
    (folder / "x.png").rename(folder / b"\xff.png".decode("utf-8", "surrogateescape"))
    report = check(corpus(("1.png", "一只狗")), images=open_images(str(folder)))
    assert report["findings"]["uncaptioned_image"]["examples"] == [{"image": "\\udcff.png"}]
    format_report(report).encode()


def test_unreadable_and_missing_images_are_distinguished_without_an_extension(corpus, check, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bare").write_text("not an image")
    report = check(corpus(("bare", "一只狗"), ("missing", "一只猫")), images=open_images(str(tmp_path / "images")))
    assert [example["image"] for example in report["findings"]["unreadable_image"]["examples"]] == ["bare"]
    assert [example["image"] for example in report["findings"]["missing_image"]["examples"]] == ["missing"]


def test_a_missing_image_folder_is_an_error(corpus, check, tmp_path):
    table = corpus(("1.png", "一只狗"))
    with pytest.raises(ImageError, match="nowhere"):
        check(table, images=open_images(str(tmp_path / "nowhere")))


def test_existing_files_that_cannot_be_read_are_not_missing(corpus, check, save_image, tmp_path):
    folder = tmp_path / "images"
    save_image(folder / "good.png")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "t.tsv").write_bytes(b"empty\t\ntext\t*no*\n")
    names = ["good.png", "folder.jpg", "pipe.jpg", "loop.jpg", "t.tsv/empty", "t.tsv/text", "t.tsv/gone", "gone.jpg"]
    table = corpus(*((name, f"第{n}只狗") for n, name in enumerate(names)))
    examples = {
        kind: about["examples"] for kind, about in check(table, images=open_images(str(folder)))["findings"].items()
    }
    reasons = {example["image"]: example["detail"] for example in examples["unreadable_image"]}
    assert list(reasons) == names[1:6]
    expected = ["is a folder, not a file", "is not a file", "symbolic links", "0 bytes", "not base64"]
    assert [text in reasons[name] for name, text in zip(names[1:6], expected, strict=True)] == [True] * 5, reasons
    missing = {example["image"]: example["detail"] for example in examples["missing_image"]}
    assert list(missing) == names[6:]
    assert "no row with the id 'gone'" in missing["t.tsv/gone"]
    assert missing["gone.jpg"] == "1 captions; cannot be read: No such file or directory."


def test_skipped_folders_and_rows_are_reported(corpus, check, save_image, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    save_image(folder / "good.png")
    (folder / "closed").mkdir()
    pixels = base64.b64encode((folder / "good.png").read_bytes())
    (folder / "t.tsv").write_bytes(b"1\t" + pixels + b"\nno tab\n\n1\t" + pixels + b"\n")
    real_scandir = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    table = corpus(("good.png", "一只狗"), ("t.tsv/1", "一只猫"))
    monkeypatch.setattr(os, "scandir", scandir)
    report = check(table, images=open_images(str(folder)))
    source = str(folder / "t.tsv")
    examples = {kind: about["examples"] for kind, about in report["findings"].items()}
    assert examples["unreadable_folder"] == [{"image": "closed", "detail": "Permission denied"}]
    assert examples["malformed_row"] == [{"source": source, "line": 2}]
    assert examples["duplicate_id"] == [{"source": source, "line": 4, "image": "1"}]
    assert report["findings"]["duplicate_id"]["total"] == 3
    assert {"unreadable_folder", "malformed_row"} <= set(report["summary"]["problems"])
    assert "t.tsv:4  1" in format_report(report)


def test_notes_of_the_image_source_are_in_the_report(corpus, check, save_image, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    save_image(tmp_path / "a.png")
    (tmp_path / "b.heic").write_bytes(b"\0")
    report = check(corpus(("a.png", "一只狗")), images=open_images(str(tmp_path)))
    (note,) = report["checked_images"]["notes"]
    assert "1 picture file cannot be read (1 .heic); install the extra" in note
    assert "(1 .heic)" in " ".join(format_report(report).split())  # the report wraps long lines


def test_images_that_a_viewer_shows_differently_are_found(corpus, check, counts_by_kind, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    pages = [Image.new("RGB", (80, 80), color) for color in ("red", "blue", "green")]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    pages[1].save(folder / "b.png")
    Image.new("RGBA", (80, 80), (1, 2, 3, 4)).save(folder / "c.png")
    report = check(corpus(("a.tif", "一只狗"), ("b.png", "一只猫"), ("c.png", "鸟")), images=open_images(str(folder)))
    found = {kind: about["examples"] for kind, about in report["findings"].items() if kind in KINDS and about["count"]}
    assert [(example["image"], example["detail"]) for example in found.pop("several_pictures")] == [
        ("a.tif", "3 pages")
    ]
    assert [example["image"] for example in found.pop("transparent_image")] == ["c.png"]
    assert found == {}
    assert report["findings"]["several_pictures"]["level"] == "warning"
    assert "with several pages or frames" in format_report(report)
