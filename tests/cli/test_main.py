"""Exit codes, one-line errors and output encoding of the command line."""

import os
import subprocess
import sys

import pytest

from caption_tx.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "a.txt:wieght=2", "--workdir", "x"], "Unknown option 'wieght' of source a.txt"),
        (["train", "a.txt", "--leave-out", "boring", "--workdir", "x"], "corpus.leave_out must be one of no_letters"),
        (["corpus", "a.txt", "--format", "word"], "corpus.format must be one of parquet"),
        (["corpus", "a.txt", "--images", "nowhere"], "Image folder 'nowhere' does not exist"),
    ],
)
def test_error_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a.jpg#0\tx\n")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "written"),
    [({}, "狗\n".encode()), ({"PYTHONIOENCODING": "cp1252"}, b"\\u72d7\n")],
    ids=["none", "cp1252"],
)
def test_chinese_output_in_ascii_locale(variables, written):
    code = "from caption_tx.cli import main; main(['corpus', 'nowhere.csv']); print('\\u72d7')"
    ascii_locale = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    environment = inherited | ascii_locale | variables
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert process.stdout == written, process.stderr
    assert b"nowhere.csv" in process.stderr
