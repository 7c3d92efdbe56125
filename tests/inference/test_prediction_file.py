"""Caption files with concurrent processes, symbolic links, and interrupted runs."""

import dataclasses
import json
import math
import os
import stat
import threading

import pandas as pd
import pytest

from caption_tx.errors import CaptionTxError, ImageError
from caption_tx.inference import prediction_file
from caption_tx.inference.prediction_file import PredictionFile
from caption_tx.inference.predictions import read_predictions
from caption_tx.inference.search.caption import Caption

RUN = {"temperature": 0.5}
BROKEN = ImageError("bad.jpg is broken.")


def captions(word="猫"):
    return [Caption(word, (word,), (4, 3), (-math.log(2),) * 2, finished=True, rank=0, score=-0.5)]


def write(path, results, run=RUN, **options):
    with PredictionFile(path, run, **options) as file:
        for name, result in results.items():
            file.write(name, result)


def images(path):
    return [row["image"] for row in read_predictions(path)]


def write_and_interrupt(path, results=None, **options):
    """A run that is interrupted after writing these results."""
    with pytest.raises(KeyboardInterrupt), PredictionFile(path, RUN, **options) as file:
        for name, result in (results or {}).items():
            file.write(name, result)
        raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_file_can_be_resumed_after_an_interrupted_retry(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write(path, {"bad.jpg": BROKEN})
    write_and_interrupt(path, retry_failed=True)
    assert not list(tmp_path.glob("*.part.jsonl"))
    assert path.exists() or suffix != ".parquet"
    write(path, {"bad.jpg": captions()}, retry_failed=True)
    assert [(row["image"], row["error"]) for row in read_predictions(path)] == [("bad.jpg", None)]


def test_table_survives_a_run_killed_in_its_first_row(tmp_path):
    path = tmp_path / "x.parquet"
    write(path, {"a.jpg": captions()})
    (tmp_path / "x.parquet.part.jsonl").write_bytes(b'{"image": "b.j')
    with pytest.raises(CaptionTxError, match="made with different options: temperature"):
        PredictionFile(path, {"temperature": 0.0})
    write(path, {"b.jpg": captions()})
    assert images(path) == ["a.jpg", "b.jpg"]


def test_run_that_starts_while_another_ends_waits_for_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_file, "_LOCK_TIMEOUT", 60)
    path = tmp_path / "x.parquet"
    first = PredictionFile(path, RUN)
    first.write("a.jpg", captions())
    timer = threading.Timer(0.05, lambda: first.__exit__(None, None, None))
    timer.start()
    with PredictionFile(path, RUN) as second:
        assert second.existing == 1
        assert list(second.remaining(["a.jpg", "b.jpg"])) == ["b.jpg"]
        second.write("b.jpg", captions())
    timer.join()
    assert images(path) == ["a.jpg", "b.jpg"]


def test_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "x.csv"
    (tmp_path / ".x.csv.lock").touch()
    write(path, {"a.jpg": captions()})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.csv", "x.csv.run.json"]


@pytest.mark.parametrize("retry_failed", [False, True])
def test_file_stays_locked_while_rows_are_copied(tmp_path, monkeypatch, retry_failed):
    """Neither while rows are copied out of a table, nor after the copy has replaced the growing file."""
    path = tmp_path / "x.parquet"
    write(path, {"a.jpg": captions(), "bad.jpg": BROKEN})
    refused = []

    def try_to_open():
        with pytest.raises(CaptionTxError, match="Another process is writing"):
            PredictionFile(path, RUN)
        refused.append(True)

    read, replace = prediction_file.read_predictions, os.replace

    def reading(source):
        if source == path:
            try_to_open()
        return read(source)

    def replacing(old, new):
        replace(old, new)
        if str(new).endswith(".part.jsonl"):
            try_to_open()

    monkeypatch.setattr(prediction_file, "read_predictions", reading)
    monkeypatch.setattr(os, "replace", replacing)
    write(path, {"c.jpg": captions()}, retry_failed=retry_failed)
    assert len(refused) == 2 + retry_failed
    assert images(path) == ["a.jpg", *([] if retry_failed else ["bad.jpg"]), "c.jpg"]


def test_error_names_the_existing_files(tmp_path):
    path = tmp_path / "x.parquet"
    part = tmp_path / "x.parquet.part.jsonl"
    write_and_interrupt(path, {"a.jpg": captions()})
    other = {"temperature": 0.0}
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, other)
    assert str(refused.value) == (
        f"{part} was made with different options: temperature (0.5, now 0.0); "
        f"choose another file name, or remove {part} to start over."
    )
    write(path, {})
    write_and_interrupt(path, {"b.jpg": captions()})
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, other)
    assert f"{path} and {part} were made" in str(refused.value)
    assert f"remove {path} and {part} to start over" in str(refused.value)
    sidecar = tmp_path / "x.parquet.run.json"
    sidecar.write_text("{}")
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, RUN)
    assert str(refused.value).endswith(f"remove {sidecar} and {path} and {part}.")
    sidecar.unlink()
    path.unlink()
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, RUN)
    assert str(refused.value) == (
        f"{part} has no {sidecar.name} that records how it was made and may be a file of yours; "
        "choose another file name."
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rejected_run_leaves_no_new_file(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    sidecar = tmp_path / f"x{suffix}.run.json"
    sidecar.write_text("[]")
    with pytest.raises(CaptionTxError, match=f"remove {sidecar}\\."):
        PredictionFile(path, RUN)
    assert list(tmp_path.iterdir()) == [sidecar]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_symbolic_links_and_permissions_are_preserved(tmp_path, suffix):
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / f"real{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(real)
    write(link, {"a.jpg": captions(), "bad.jpg": BROKEN})
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~current_umask()
    real.chmod(0o640)
    write(link, {"bad.jpg": captions()}, retry_failed=True)
    assert link.is_symlink()
    assert images(link) == images(real) == ["a.jpg", "bad.jpg"]
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(file.name for file in real.parent.iterdir()) == [real.name, f"{real.name}.run.json"]
    with PredictionFile(real, RUN), pytest.raises(CaptionTxError, match="Another process is writing"):
        PredictionFile(link, RUN)


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_image_without_captions_is_rejected(tmp_path):
    path = tmp_path / "x.jsonl"
    with PredictionFile(path, RUN) as file:
        file.write("a.jpg", captions())
        with pytest.raises(CaptionTxError, match=r"no caption of 'b.jpg'"):
            file.write("b.jpg", [])
    assert images(path) == ["a.jpg"]
    assert json.loads((tmp_path / "x.jsonl.run.json").read_text())["run"] == RUN


def excel(frame, path):
    frame["finished"] = frame["finished"].map(str).str.upper().replace("NAN", "")
    frame.to_csv(path, index=False, sep=";", encoding="gb18030", lineterminator="\r\n")


RESAVE = {
    "pandas": lambda frame, path: frame.to_csv(path, index=False),
    "pandas with an index": lambda frame, path: frame.to_csv(path),
    "pandas with a mark": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig"),
    "Excel": excel,
    "Excel in UTF-16": lambda frame, path: frame.to_csv(path, index=False, sep="\t", encoding="utf-16"),
    "columns moved": lambda frame, path: frame[frame.columns[::-1]].to_csv(path, index=False),
}


@pytest.mark.parametrize("program", RESAVE)
def test_a_table_that_another_program_saved_is_read_and_resumed(tmp_path, program):
    path = tmp_path / "x.csv"
    results = {"a.jpg": captions('猫, "a"\n狗'), "bad.jpg": BROKEN, "b.jpg": captions("一只猫在草地上")}
    write(path, results)
    rows, original = list(read_predictions(path)), path.read_bytes()
    RESAVE[program](pd.read_csv(path), path)
    assert path.read_bytes() != original
    assert list(read_predictions(path)) == rows
    with PredictionFile(path, RUN) as file:
        assert file.converted == (program != "pandas with a mark")  # that has the same header
        assert list(file.remaining(["a.jpg", "bad.jpg", "b.jpg", "c.jpg"])) == ["c.jpg"]
        file.write("c.jpg", captions())
    assert [*rows, "c.jpg"] == [*list(read_predictions(path))[:-1], images(path)[-1]]
    assert path.read_bytes().startswith(original[:20])


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_words_of_a_user_dictionary_may_contain_spaces(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write(path, {"a.jpg": [dataclasses.replace(captions()[0], words=("玩", "leap motion"))]})
    assert [row["words"] for row in read_predictions(path)] == [["玩", "leap motion"]]


def test_sorted_rows_of_an_image_are_joined_again(tmp_path):
    path = tmp_path / "x.csv"
    both = [dataclasses.replace(captions()[0], text=text, rank=rank) for rank, text in enumerate(("z", "a"))]
    write(path, {"a.jpg": both, "b.jpg": both}, n_best=2)
    rows = list(read_predictions(path))
    pd.read_csv(path).sort_values("caption", kind="stable").to_csv(path, index=False)
    write(path, {}, n_best=2)
    assert list(read_predictions(path)) == rows


def test_a_resaved_table_is_not_converted_if_that_would_lose_something(tmp_path):
    path = tmp_path / "x.csv"
    write(path, {"a.jpg": captions()})
    frame = pd.read_csv(path)
    frame.assign(note="good").to_csv(path, index=False)
    saved = path.read_bytes()
    with pytest.raises(CaptionTxError, match=r"other columns \(note\), which captioning would remove"):
        PredictionFile(path, RUN)
    assert path.read_bytes() == saved and images(path) == ["a.jpg"]
    frame.to_csv(path, index=False)
    with pytest.raises(CaptionTxError, match="made with different options: temperature"):
        PredictionFile(path, {"temperature": 0.0})
    frame.assign(score="high").to_csv(path, index=False)
    with pytest.raises(CaptionTxError, match=r"Row 1 of .*x\.csv is not a caption .*'high'"):
        images(path)
