"""A file of captions while other processes come and go, behind links, and after runs that came to nothing."""

import json
import math
import os
import stat

import pytest

from caption_tx.errors import CaptionTxError, ImageError
from caption_tx.inference import prediction_file
from caption_tx.inference.prediction_file import PredictionFile
from caption_tx.inference.predictions import read_predictions
from caption_tx.inference.search.decode import Caption

RUN = {"temperature": 0.5}
BROKEN = ImageError("bad.jpg is broken.")
fcntl = pytest.importorskip("fcntl")


def captions(word="猫"):
    return [Caption(word, (word,), (4, 3), (-math.log(2),) * 2, finished=True, rank=0, score=-0.5)]


def write(path, results, run=RUN, **options):
    with PredictionFile(path, run, **options) as file:
        for name, result in results.items():
            file.write(name, result)


def images(path):
    return [row["image"] for row in read_predictions(path)]


def stopped(path, results=None, **options):
    """A run that is interrupted after these results."""
    with pytest.raises(KeyboardInterrupt), PredictionFile(path, RUN, **options) as file:
        for name, result in (results or {}).items():
            file.write(name, result)
        raise KeyboardInterrupt


@pytest.fixture
def before_lock(monkeypatch):
    """Runs a function once, when the next file is open but not yet locked."""

    def before_lock(meanwhile):
        class Slow:
            LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

            @staticmethod
            def flock(file, how):
                monkeypatch.setattr(prediction_file, "fcntl", fcntl)
                meanwhile()
                fcntl.flock(file, how)

        monkeypatch.setattr(prediction_file, "fcntl", Slow)

    return before_lock


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_second_try_that_is_stopped_at_once_leaves_a_file_that_goes_on(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write(path, {"bad.jpg": BROKEN})
    stopped(path, retry_failed=True)
    assert not list(tmp_path.glob("*.part.jsonl"))
    assert path.exists() or suffix != ".parquet"
    write(path, {"bad.jpg": captions()}, retry_failed=True)
    assert [(row["image"], row["error"]) for row in read_predictions(path)] == [("bad.jpg", None)]


def test_a_table_whose_next_run_was_killed_in_its_first_row_is_kept(tmp_path):
    path = tmp_path / "x.parquet"
    write(path, {"a.jpg": captions()})
    (tmp_path / "x.parquet.part.jsonl").write_bytes(b'{"image": "b.j')
    with pytest.raises(CaptionTxError, match="made with another temperature"):
        PredictionFile(path, {"temperature": 0.0})
    write(path, {"b.jpg": captions()})
    assert images(path) == ["a.jpg", "b.jpg"]


def test_a_run_that_opens_a_table_as_another_ends_it_sees_all_rows(tmp_path, before_lock):
    path = tmp_path / "x.parquet"
    first = PredictionFile(path, RUN)
    first.write("a.jpg", captions())
    before_lock(lambda: first.__exit__(None, None, None))  # removes the file that the second has opened
    with PredictionFile(path, RUN) as second:
        assert second.held == 1
        assert list(second.remaining(["a.jpg", "b.jpg"])) == ["b.jpg"]
        second.write("b.jpg", captions())
    assert images(path) == ["a.jpg", "b.jpg"]


def test_a_run_that_opens_a_file_as_another_replaces_it_writes_into_the_new_one(tmp_path, before_lock):
    path = tmp_path / "x.jsonl"
    write(path, {"a.jpg": captions(), "bad.jpg": BROKEN})
    before_lock(lambda: write(path, {"bad.jpg": captions()}, retry_failed=True))
    write(path, {"c.jpg": captions()})
    assert images(path) == ["a.jpg", "bad.jpg", "c.jpg"]


def test_a_file_that_is_replaced_for_ever_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
    with pytest.raises(CaptionTxError, match=r"Another process replaces .*x.csv all the time"):
        PredictionFile(tmp_path / "x.csv", RUN)


@pytest.mark.parametrize("retry_failed", [False, True])
def test_nobody_comes_in_while_rows_are_copied(tmp_path, monkeypatch, retry_failed):
    """Neither while a table's rows are copied out of it, nor when the copy has taken its place."""
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


def test_a_refusal_names_the_files_that_are_there(tmp_path):
    path = tmp_path / "x.parquet"
    part = tmp_path / "x.parquet.part.jsonl"
    stopped(path, {"a.jpg": captions()})
    other = {"temperature": 0.0}
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, other)
    assert str(refused.value) == (
        f"{part} was made with another temperature (0.5, now 0.0); name another file, or remove {part} to begin anew."
    )
    write(path, {})
    stopped(path, {"b.jpg": captions()})
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, other)
    assert f"{path} and {part} were made" in str(refused.value)
    assert f"remove {path} and {part} to begin anew" in str(refused.value)
    sidecar = tmp_path / "x.parquet.run.json"
    sidecar.write_text("{}")
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, RUN)
    assert str(refused.value).endswith(f"remove {sidecar} and {path} and {part}.")
    sidecar.unlink()
    path.unlink()
    with pytest.raises(CaptionTxError) as refused:
        PredictionFile(path, RUN)
    assert str(refused.value).startswith(
        f"{sidecar.name}, which tells what made {part}, is not beside it; name another"
    )
    assert "remove" not in str(refused.value)  # it may be a person's own


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_refusal_leaves_no_file_behind(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    sidecar = tmp_path / f"x{suffix}.run.json"
    sidecar.write_text("[]")
    with pytest.raises(CaptionTxError, match=f"remove {sidecar}\\."):
        PredictionFile(path, RUN)
    assert list(tmp_path.iterdir()) == [sidecar]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_link_stays_a_link_and_a_file_keeps_who_may_read_it(tmp_path, suffix):
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


def test_an_image_without_captions_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    with PredictionFile(path, RUN) as file:
        file.write("a.jpg", captions())
        with pytest.raises(CaptionTxError, match=r"no caption of 'b.jpg'"):
            file.write("b.jpg", [])
    assert images(path) == ["a.jpg"]
    assert json.loads((tmp_path / "x.jsonl.run.json").read_text())["run"] == RUN
