"""Rows of captions in three file formats, and writing and resuming such files."""

import json
import math
import os
import resource

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.prediction_file import PredictionFile
from caption_tx.inference.predictions import COLUMNS, confidence, make_rows, read_predictions
from caption_tx.inference.search.caption import Caption

RUN = {"bundle": "a" * 64, "temperature": 0.5, "force_words": ("猫",)}


def make_caption(words, rank=0, finished=True):
    """A caption of these words in which every token has probability 1/2."""
    count = len(words) + finished
    return Caption(
        text="".join(words),
        words=tuple(words),
        token_ids=tuple(range(4, 4 + count)),
        log_probabilities=(-math.log(2),) * count,
        finished=finished,
        rank=rank,
        score=-0.12345678,
    )


RESULTS = {
    "a/一.jpg": [make_caption(["两只", "狗"]), make_caption(["一只", "狗"], 1)],
    'b, "quoted"\nand broken.jpg': [make_caption(["say", '"hi",']), make_caption(["a\r", "b"], 1, False)],
    "bad.jpg": ImageError('bad.jpg cannot be read:\n"truncated", at byte 7.'),
    "c.jpg": [make_caption(["猫"]), make_caption(["狗"], 1)],
}
FORMATS = (".jsonl", ".csv", ".parquet")


def write_all(path, results=RESULTS, n_best=2, **options):
    """One run that writes the images the file does not contain yet; returns their names."""
    written = []
    with PredictionFile(path, RUN, n_best, **options) as file:
        for name in file.remaining(results):
            written.append(name)
            file.write(name, results[name])
    return written


def expected_rows(results=RESULTS):
    return [row for name, result in results.items() for row in make_rows(name, result)]


def test_rows_have_the_documented_values():
    best, second = make_rows("a.jpg", [make_caption(["两只", "狗"]), make_caption(["狗"], 1, False)])
    assert tuple(best) == COLUMNS
    assert best == {
        "image": "a.jpg",
        "rank": 0,
        "caption": "两只狗",
        "words": ["两只", "狗"],
        "log_probability": round(-3 * math.log(2), 4),
        "score": -0.1235,
        "confidence": 0.5,
        "finished": True,
        "error": None,
    }
    assert (second["rank"], second["finished"], second["confidence"]) == (1, False, 0.5)
    [failed] = make_rows("b.jpg", ImageError("b.jpg is empty."))
    assert {name for name, value in failed.items() if value is not None} == {"image", "error"}


def test_confidence_is_the_geometric_mean_of_the_tokens_probabilities():
    caption = make_caption(["a", "b"])
    object.__setattr__(caption, "log_probabilities", tuple(map(math.log, (0.9, 0.5, 0.6))))
    assert confidence(caption) == pytest.approx((0.9 * 0.5 * 0.6) ** (1 / 3))


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip_in_every_format(tmp_path, suffix):
    path = tmp_path / f"captions{suffix}"
    assert write_all(path) == list(RESULTS)
    assert list(read_predictions(path)) == expected_rows()
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, f"{path.name}.run.json"]
    assert write_all(path) == []
    assert list(read_predictions(path)) == expected_rows()


def test_pandas_reads_the_same_table_from_every_format(tmp_path):
    results = {name: RESULTS[name] for name in ("a/一.jpg", "bad.jpg", "c.jpg")}
    for suffix in FORMATS:
        write_all(tmp_path / f"x{suffix}", results)
    tables = [
        pd.read_json(tmp_path / "x.jsonl", lines=True),
        pd.read_csv(tmp_path / "x.csv"),
        pd.read_parquet(tmp_path / "x.parquet"),
    ]
    for table in tables:
        assert tuple(table.columns) == COLUMNS
        assert table["image"].tolist() == ["a/一.jpg", "a/一.jpg", "bad.jpg", "c.jpg", "c.jpg"]
        assert table["caption"].dropna().tolist() == ["两只狗", "一只狗", "猫", "狗"]
        assert table["confidence"].dropna().tolist() == [0.5] * 4
        assert table["finished"].dropna().astype(bool).all()
        assert table["error"].notna().tolist() == [False, False, True, False, False]
    assert tables[1]["words"][0] == "两只 狗"
    assert list(tables[0]["words"][0]) == list(tables[2]["words"][0]) == ["两只", "狗"]


def test_csv_starts_with_byte_order_mark_for_excel(tmp_path):
    write_all(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes().startswith(b"\xef\xbb\xbfimage,rank,caption,")


WORDS = st.lists(st.text(st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(max_codepoint=0x4FFF) | st.just("\udcff"), min_size=1), WORDS, max_size=4))
def test_round_trip_of_arbitrary_names_and_words(tmp_path_factory, words_by_name):
    results = {name: [make_caption(words)] for name, words in words_by_name.items()}
    for suffix in FORMATS[: 3 if results else 0]:
        path = tmp_path_factory.mktemp("any") / f"x{suffix}"
        write_all(path, results, n_best=1)
        assert list(read_predictions(path)) == expected_rows(results)
        assert write_all(path, results, n_best=1) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet.part.jsonl"])
def test_file_truncated_anywhere_is_completed(tmp_path, suffix):
    """Like a process that was killed there. Complete images are not captioned again."""
    out = tmp_path / f"x{suffix.removesuffix('.part.jsonl')}"
    growing = tmp_path / f"x{suffix}"
    ends = {}
    with pytest.raises(KeyboardInterrupt), PredictionFile(out, RUN, n_best=2) as file:
        for name, result in RESULTS.items():
            file.write(name, result)
            ends[name] = growing.stat().st_size
        raise KeyboardInterrupt  # leaves the growing part of a Parquet file
    data = growing.read_bytes()
    sidecar = out.with_name(f"{out.name}.run.json").read_bytes()
    borders = {end + offset for end in ends.values() for offset in (-2, -1, 0, 1)}
    for cut in sorted(borders.intersection(range(len(data))) | {*range(0, len(data), 5 if suffix in FORMATS else 17)}):
        out.unlink(missing_ok=True)
        growing.write_bytes(data[:cut])
        out.with_name(f"{out.name}.run.json").write_bytes(sidecar)
        complete = [name for name, end in ends.items() if end <= cut]
        assert write_all(out) == [name for name in RESULTS if name not in complete], cut
        if suffix in FORMATS:
            assert growing.read_bytes() == data, cut
        else:
            assert list(read_predictions(out)) == expected_rows(), cut


def test_image_with_fewer_than_n_best_captions_is_repeated_only_if_it_is_last(tmp_path):
    results = {"a.jpg": [make_caption(["x"])], **RESULTS}
    write_all(tmp_path / "x.jsonl", results)
    assert write_all(tmp_path / "x.jsonl", results | {"d.jpg": [make_caption(["y"])]}) == ["d.jpg"]
    assert write_all(tmp_path / "x.jsonl", results | {"d.jpg": [make_caption(["y"])]}) == ["d.jpg"]
    assert [row["image"] for row in read_predictions(tmp_path / "x.jsonl")].count("d.jpg") == 1


@pytest.mark.parametrize("suffix", FORMATS)
def test_failed_images_are_skipped_without_retry_failed(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_all(path)
    patched = RESULTS | {"bad.jpg": [make_caption(["fixed"]), make_caption(["so"], 1)]}
    assert write_all(path, patched) == []
    assert write_all(path, patched, retry_failed=True) == ["bad.jpg"]
    expected = {name: result for name, result in patched.items() if name != "bad.jpg"} | {"bad.jpg": patched["bad.jpg"]}
    assert list(read_predictions(path)) == expected_rows(expected)
    assert write_all(path, patched, retry_failed=True) == []


def test_duplicate_names_are_skipped(tmp_path):
    with PredictionFile(tmp_path / "x.jsonl", RUN) as file:
        assert list(file.remaining(["a", ("b", b"bytes"), "a", "b"])) == ["a", ("b", b"bytes")]
        assert (file.existing, file.skipped) == (0, 2)
        file.write("a", RESULTS["c.jpg"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_file_of_another_run_is_rejected_unchanged(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_all(path)
    before = path.read_bytes()
    other = RUN | {"bundle": "b" * 64, "temperature": 0.0, "seed": 3}
    with pytest.raises(CaptionTxError, match=r"options: bundle, seed \(None, now 3\), temperature \(0.5, now 0.0\);"):
        PredictionFile(path, other, n_best=2)
    sidecar = path.with_name(f"{path.name}.run.json")
    sidecar.write_text("[]")
    with pytest.raises(CaptionTxError, match=r"Cannot read .*run.json"):
        PredictionFile(path, RUN, n_best=2)
    sidecar.unlink()
    with pytest.raises(CaptionTxError, match=r"has no x\.\w+\.run\.json .*; choose another"):
        PredictionFile(path, RUN, n_best=2)
    assert path.read_bytes() == before


def test_file_without_sidecar_is_never_truncated(tmp_path):
    (tmp_path / "x.jsonl").write_text("no line end")
    with pytest.raises(CaptionTxError, match=r"has no x.jsonl.run.json"):
        PredictionFile(tmp_path / "x.jsonl", RUN)
    assert (tmp_path / "x.jsonl").read_text() == "no line end"


def test_file_without_complete_row_is_overwritten_by_any_run(tmp_path):
    path = tmp_path / "x.csv"
    path.touch()
    write_all(path)
    path.write_bytes(path.read_bytes()[:100])  # the header and a part of the first row
    with PredictionFile(path, RUN | {"temperature": 1.0}, n_best=2) as file:
        file.write("c.jpg", RESULTS["c.jpg"])
    assert [row["caption"] for row in read_predictions(path)] == ["猫", "狗"]
    assert json.loads((tmp_path / "x.csv.run.json").read_text())["run"]["temperature"] == 1.0


def test_run_without_images_leaves_no_files(tmp_path):
    for suffix in FORMATS:
        with PredictionFile(tmp_path / f"x{suffix}", RUN):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        (
            ".jsonl",
            lambda data: data.replace(b'{"image": "c', b'{"imago": "c', 1),
            r"Row 6 of .*x.jsonl is not a capt",
        ),
        (".jsonl", lambda data: b"\0\0\n" + data, r"Row 1 of .*x.jsonl"),
        (".csv", lambda data: data.replace(b",true,", b",", 1), r"Row 1 of .*x.csv"),
        (".csv", lambda data: data.replace(b"rank", b"place", 1), r"x.csv must start with the columns image,rank"),
    ],
)
def test_error_names_the_damaged_row(tmp_path, suffix, change, message):
    path = tmp_path / f"x{suffix}"
    write_all(path)
    damaged = change(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(CaptionTxError, match=message):
        PredictionFile(path, RUN, n_best=2)
    assert path.read_bytes() == damaged
    with pytest.raises(CaptionTxError, match=message):
        list(read_predictions(path))


def test_unreadable_files_are_reported(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"not a Parquet file")
    with pytest.raises(CaptionTxError, match=r"x.parquet is not a table of captions"):
        list(read_predictions(tmp_path / "x.parquet"))
    with pytest.raises(CaptionTxError, match=r"Cannot read .*gone.csv: No such file"):
        list(read_predictions(tmp_path / "gone.csv"))


@pytest.mark.parametrize(("name", "message"), [("x.txt", r"must end in .jsonl, .csv, .parquet"), ("no/x.csv", "no")])
def test_invalid_output_path_is_rejected(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        PredictionFile(tmp_path / name, RUN)


@pytest.mark.parametrize("suffix", FORMATS)
def test_second_process_cannot_write_the_same_file(tmp_path, suffix):
    with PredictionFile(tmp_path / f"x{suffix}", RUN) as file:
        with pytest.raises(CaptionTxError, match=r"Another process is writing"):
            PredictionFile(tmp_path / f"x{suffix}", RUN)
        file.write("c.jpg", RESULTS["c.jpg"])
    assert len(list(read_predictions(tmp_path / f"x{suffix}"))) == 2


def test_full_disk_leaves_complete_rows(tmp_path):
    """A file size limit acts like a full disk: the system writes a part of the row, then fails."""
    path = tmp_path / "x.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with PredictionFile(path, RUN) as file:
        file.write("a.jpg", RESULTS["a/一.jpg"])
        size = os.path.getsize(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 9, before[1]))
        try:
            with pytest.raises(CaptionTxError, match=r"Cannot write .*x.jsonl: .* complete up to 'c.jpg'"):
                file.write("c.jpg", RESULTS["c.jpg"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.stat().st_size == size
    assert {row["image"] for row in read_predictions(path)} == {"a.jpg"}


def test_parquet_is_rewritten_only_for_new_rows(tmp_path):
    path = tmp_path / "x.parquet"
    write_all(path, {"c.jpg": RESULTS["c.jpg"]})
    made = path.stat().st_ino, path.stat().st_mtime_ns
    write_all(path, {"c.jpg": RESULTS["c.jpg"]})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == made
    with pytest.raises(KeyboardInterrupt), PredictionFile(path, RUN, n_best=2) as file:
        file.write("a/一.jpg", RESULTS["a/一.jpg"])
        raise KeyboardInterrupt
    assert len(list(read_predictions(path))) == 2  # the old table remains until the run ends
    assert write_all(path) == ['b, "quoted"\nand broken.jpg', "bad.jpg"]
    assert {row["image"] for row in read_predictions(path)} == set(RESULTS)
    assert not list(tmp_path.glob("*.part.jsonl"))


FORMULAS = ("=cmd|' /C calc'!A0.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "'=quoted.jpg", "＝full.jpg", "'plain.jpg")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_names_and_captions_are_no_formulas_in_a_spreadsheet_and_read_back(tmp_path, suffix):
    path = tmp_path / f"captions{suffix}"
    with PredictionFile(path, RUN) as file:
        for name in FORMULAS:
            file.write(name, [make_caption(["=1+1", "-", "狗"])])
        file.write("-bad.jpg", ImageError("-bad.jpg cannot be read."))
    rows = list(read_predictions(path))
    assert [row["image"] for row in rows] == [*FORMULAS, "-bad.jpg"]
    assert {row["caption"] for row in rows[:-1]} == {"=1+1-狗"} and rows[0]["words"] == ["=1+1", "-", "狗"]
    assert rows[-1]["error"] == "-bad.jpg cannot be read." and rows[0]["score"] == -0.1235
    if suffix == ".csv":
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        texts = table[["image", "caption", "words", "error"]].to_numpy().ravel()
        assert not [text for text in texts if text[:1] in set("=+-@＝")]
        assert table["log_probability"][0].startswith("-")  # numbers stay numbers
    with PredictionFile(path, RUN) as file:  # resumes
        assert list(file.remaining([*FORMULAS, "new.jpg"])) == ["new.jpg"]
