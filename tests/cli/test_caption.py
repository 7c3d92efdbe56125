"""`caption-tx caption`: folders into files, resumed runs, and lists and images on standard input."""

import json
import re
import signal
import sys
from contextlib import ExitStack

import pandas as pd
import pytest
from PIL import Image

from caption_tx.cli import main
from caption_tx.inference.prediction_file import PredictionFile
from caption_tx.inference.predictions import read_predictions

COUNT = 23
BAD = ("004x.jpg", "017x.jpg")


pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def bundle(one_layer_bundle):
    """The bundle with the fewest layers, since its searches are compiled fastest."""
    return one_layer_bundle


@pytest.fixture(scope="module")
def photos(tmp_path_factory, write_pictures):
    """Images in two folders, and two files that are not images."""
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder, 15)
    write_pictures(folder / "deeper", COUNT - 15, first=15)
    for name in BAD:
        (folder / name).write_bytes(b"not an image")
    return folder


@pytest.fixture
def run(bundle, capsys):
    """Runs the command and returns exit code, stdout and stderr."""

    def run(*arguments):
        code = main(["caption", *map(str, arguments), "--bundle", bundle, "--temperature", "1", "--seed", "3"])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def uninterrupted(bundle, photos, tmp_path_factory):
    """The rows of an uninterrupted run."""
    out = tmp_path_factory.mktemp("out") / "whole.jsonl"
    assert (
        main(["caption", str(photos), "--bundle", bundle, "--temperature", "1", "--seed", "3", "--out", str(out)]) == 0
    )
    return list(read_predictions(out))


def assert_same(rows, expected):
    """The same rows; the last decimal may differ between batches."""
    assert [row["image"] for row in rows] == [row["image"] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        for name, value in row.items():
            assert value == (pytest.approx(other[name], abs=1.01e-4) if isinstance(value, float) else other[name]), name


def test_folder_is_captioned_with_errors_in_place(uninterrupted, photos):
    names = [f"{number:03d}.png" for number in range(15)] + list(BAD)
    names = sorted(names) + [f"deeper/{number:03d}.png" for number in range(15, COUNT)]
    assert [row["image"] for row in uninterrupted] == [f"{photos}/{name}" for name in names]
    for row in uninterrupted:
        if row["image"].endswith(BAD):
            assert row["image"] in row["error"] and row["caption"] is None
        else:
            assert row["error"] is None and row["words"] and 0 < row["confidence"] <= 1 and row["log_probability"] < 0


KILLED = """
import os, signal, sys
from caption_tx.cli import main
from caption_tx.inference import prediction_file

stop, *arguments = sys.argv[1:]
write, calls = os.write, []

def write_a_part(file, data):
    calls.append(data)
    if len(calls) < int(stop):
        return write(file, data)
    write(file, data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

usual = prediction_file.PredictionFile.write

def watched(self, image, result):
    os.write = write_a_part
    usual(self, image, result)
    os.write = write

prediction_file.PredictionFile.write = watched
main(arguments)
"""


@pytest.mark.parametrize(("name", "growing"), [("x.csv", "x.csv"), ("x.parquet", "x.parquet.part.jsonl")])
def test_killed_run_is_resumed_to_the_same_file(
    run, run_forked, photos, bundle, uninterrupted, tmp_path, name, growing
):
    out = tmp_path / name
    command = ["caption", photos, "--bundle", bundle, "--temperature", "1", "--seed", "3", "--batch-size", "4"]
    process = run_forked(KILLED, 12, *command, "--out", out)
    assert process.returncode == -signal.SIGKILL, process.stderr[-2000:]
    torn = (tmp_path / growing).read_bytes()
    assert not torn.endswith(b"\n")
    assert torn.count(b"\n") == 11 + growing.endswith(".csv")  # the header
    code, printed, errors = run(photos, "--out", out)
    assert code == 0
    assert "13 images captioned, 11 skipped (already in the file), 1 could not be read" in printed
    assert "captions: " in errors  # the progress bar
    assert_same(list(read_predictions(out)), uninterrupted)
    if name == growing:
        assert out.read_bytes().startswith(torn[: torn.rindex(b"\n") + 1])
    code, printed, _ = run(photos, "--out", out, "--json")
    counts = {"out": str(out), "bundle": bundle, "captioned": 0, "skipped": 25, "failed": 0, "converted": False}
    assert (code, json.loads(printed)) == (0, counts)
    if out.suffix == ".csv":
        pd.read_csv(out).to_csv(out, index=False)
        code, printed, errors = run(photos, "--out", out, "--json")
        assert json.loads(printed) == counts | {"converted": True}
        assert f"caption-tx: {out} was saved by another program" in errors
        assert_same(list(read_predictions(out)), uninterrupted)


def test_interrupted_run_says_how_to_resume(run, photos, uninterrupted, tmp_path, monkeypatch):
    out = tmp_path / "x.jsonl"
    usual, written = PredictionFile.write, []

    def interrupted(self, image, result):
        usual(self, image, result)
        written.append(image)
        if len(written) == 9:
            signal.raise_signal(signal.SIGINT)

    # Background processes of a shell ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(PredictionFile, "write", interrupted)
            code, _, errors = run(photos, "--out", out, "--batch-size", "4")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    message = f"caption-tx: {out} is complete up to here; repeat the command to resume.\n"
    assert errors.endswith(f"{message}caption-tx: interrupted.\n")
    assert_same(list(read_predictions(out)), uninterrupted[:9])
    assert run(photos, "--out", out)[0] == 0
    assert_same(list(read_predictions(out)), uninterrupted)


def test_new_images_are_added_and_failed_ones_retried(run, photos, tmp_path, write_pictures):
    folder = tmp_path / "mine"
    write_pictures(folder, 2)
    (folder / "002.png").write_bytes(b"not an image")
    out = tmp_path / "x.csv"
    assert "2 images captioned, 0 skipped (already in the file), 1 could not" in run(folder, "--out", out)[1]
    write_pictures(folder, 2, first=2)
    assert "1 images captioned, 3 skipped" in run(folder, "--out", out)[1]
    assert "1 images captioned, 3 skipped" in run(folder, "--out", out, "--retry-failed")[1]
    table = pd.read_csv(out)
    assert table["image"].str[-7:].tolist() == ["000.png", "001.png", "003.png", "002.png"]
    assert table["error"].isna().all()


def test_other_options_are_rejected(bundle, photos, tmp_path, capsys):
    out = tmp_path / "x.jsonl"
    command = ["caption", str(photos / "000.png"), "--bundle", bundle, "--out", str(out)]
    assert main(command) == 0
    before = out.read_bytes()
    capsys.readouterr()
    assert main([*command, "--temperature", "0.5"]) == 1
    assert re.search(
        r"x.jsonl was made with different options: temperature \(0.0, now 0.5\); choose", capsys.readouterr().err
    )
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.txt"], "must end in .jsonl, .csv, .parquet, got 'x.txt'"),
        (["--out", "no/x.csv"], "does not exist; create it"),
        (["--retry-failed"], "name it with --out"),
        (["--batch-size", "0"], "--batch-size must be at least 1 image, got 0"),
        (["nowhere"], "There is no image or folder 'nowhere'"),
    ],
)
def test_invalid_request_is_one_line_before_anything_is_loaded(
    arguments, message, photos, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["caption", *arguments, str(photos), "--bundle", "no such bundle"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_error_if_all_images_fail(run, photos, tmp_path):
    out = tmp_path / "x.jsonl"
    code, printed, errors = run(photos / BAD[0], photos / BAD[1], "--out", out)
    assert (code, errors.rstrip().splitlines()[-1]) == (1, "caption-tx: None of the images could be read.")
    assert [row["image"][-8:] for row in read_predictions(out)] == list(BAD)
    code, printed, errors = run(photos / BAD[0], "--json")
    assert (code, "None of the images" in errors) == (1, True)
    assert [row["error"] is None for row in json.loads(printed)] == [False]


@pytest.fixture
def set_stdin(tmp_path, monkeypatch):
    """Replaces standard input by bytes."""
    with ExitStack() as stack:

        def set_stdin(data):
            (tmp_path / "stdin").write_bytes(data)
            monkeypatch.setattr(sys, "stdin", stack.enter_context(open(tmp_path / "stdin", encoding="utf-8")))

        yield set_stdin


def test_image_or_list_on_standard_input(run, photos, tmp_path, set_stdin, uninterrupted):
    of = {row["image"]: row["caption"] for row in uninterrupted}
    names = [f"{photos}/001.png", f"{photos}/deeper/016.png"]
    set_stdin("\n".join(names).encode())
    code, printed, _ = run("-")
    assert code == 0
    assert [line.removesuffix(" ...").split("\t") for line in printed.splitlines()] == [[n, of[n]] for n in names]
    set_stdin("\0".join([*names, f"{photos}/gone.png", ""]).encode())
    code, printed, _ = run("-", "--out", tmp_path / "x.csv")
    assert (code, "2 images captioned, 0 skipped (already in the file), 1 could not" in printed) == (0, True)
    set_stdin((photos / "001.png").read_bytes())
    code, printed, _ = run("-", "--json")
    [row] = json.loads(printed)
    assert (code, row["image"], row["caption"]) == (0, "-", of[names[0]])
    set_stdin(b"")
    assert run("-")[::2] == (1, "caption-tx: The standard input is empty; pipe an image or a list of paths into it.\n")


def test_n_best_captions_have_ranks(run, photos, tmp_path):
    three = ("--samples", 6, "--n-best", 3)
    image = photos / "000.png"
    rows = json.loads(run(image, "--json", *three)[1])
    assert [row["rank"] for row in rows] == [0, 1, 2]
    assert len({row["caption"] for row in rows}) == 3
    assert all(len(row["log_probabilities"]) >= len(row["words"]) for row in rows)
    printed = run(image, *three)[1]
    expected = [f"{image}\t{row['rank']}\t{row['caption']}{'' if row['finished'] else ' ...'}" for row in rows]
    assert printed.splitlines() == expected
    assert run(photos, "--out", tmp_path / "x.parquet", *three)[0] == 0
    table = pd.read_parquet(tmp_path / "x.parquet")
    captioned = table[table["error"].isna()].groupby("image")
    assert len(captioned) == COUNT and captioned.size().max() == 3  # duplicates are dropped
    for _, group in captioned:
        assert group["rank"].tolist() == list(range(len(group)))
        assert group["caption"].is_unique
        ended = group[group["finished"].astype(bool)]
        assert ended["score"].is_monotonic_decreasing
    assert table["error"].notna().sum() == len(BAD)


def test_error_of_one_image_does_not_stop_the_others(run, photos):
    code, printed, errors = run(photos / "000.png", photos / BAD[0], photos / "001.png")
    assert code == 0
    assert [line.split("\t")[0][-7:] for line in printed.splitlines()] == ["000.png", "001.png"]
    assert errors.startswith("caption-tx: skipped: ") and errors.count("\n") == 1 and BAD[0] in errors


def test_images_of_several_pages_are_reported(run, tmp_path):
    pages = [Image.new("RGB", (40, 40), color) for color in ("red", "blue", "green")]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    note = f"1 of 1 images with several pages or frames, of which only the first is read ({tmp_path}/scan.tif, 3 pages)"
    code, _, errors = run(tmp_path / "scan.tif")
    assert code == 0 and note in errors
    code, _, errors = run(tmp_path / "scan.tif", "--out", tmp_path / "out.csv")
    assert code == 0 and note in errors


def test_name_with_line_breaks_is_escaped_on_a_terminal_only(run, photos, tmp_path, uninterrupted):
    [caption] = [row["caption"] for row in uninterrupted if row["image"] == f"{photos}/000.png"]
    names = [f"{tmp_path}/new\nline\t图.png", f"{tmp_path}/bad\n.png"]
    with open(names[0], "wb") as file:
        file.write((photos / "000.png").read_bytes())
    with open(names[1], "wb") as file:
        file.write(b"not an image")
    code, printed, errors = run(*names)
    assert (code, printed.removesuffix(" ...\n").removesuffix("\n")) == (
        0,
        f"{tmp_path}/new\\nline\\t图.png\t{caption}",
    )
    assert errors.count("\n") == 1 and "/bad\\n.png" in errors
    assert [row["image"] for row in json.loads(run(*names, "--json")[1])] == names


def test_closed_standard_input_is_an_error(photos, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as in Python after `<&-`
    assert main(["caption", "-", "--bundle", "no such bundle"]) == 1
    assert "caption-tx: The standard input ('-') is closed; pipe an image" in capsys.readouterr().err
