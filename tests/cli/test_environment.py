"""Too little memory and locales without UTF-8, in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caption_tx.cli.environment import explain_environment

ASCII = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def run(line, **variables):
    """Runs a shell command line, in which `$run` is the command line program."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | variables
    environment["run"] = f"{sys.executable} -m caption_tx"
    return subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [150_000, 600_000])
def test_too_little_memory_for_the_imports_is_one_line(tmp_path, write_pictures, kilobytes):
    write_pictures(tmp_path, 1)
    process = run(f"ulimit -v {kilobytes}; $run caption {tmp_path}/000.png --bundle flickr8k-zh")
    assert process.returncode == 1
    assert process.stderr == (
        "caption-tx: There is too little memory; close other programs or raise the limit of memory (`ulimit -v`).\n"
    )


def test_a_memory_error_is_explained_also_as_a_cause():
    try:
        try:
            raise MemoryError
        except MemoryError as error:
            raise ImportError("a module cannot be imported") from error
    except ImportError as error:
        assert "too little memory" in explain_environment(error)
    assert explain_environment(ImportError("No module named 'x'")) is None
    missing = ModuleNotFoundError("No module named 'jieba.posseg'", name="jieba.posseg")
    assert explain_environment(missing).endswith("install it with `pip install jieba`.")
    assert explain_environment(ModuleNotFoundError("No module named 'caption_tx.x'", name="caption_tx.x")) is None


@pytest.mark.slow
def test_a_locale_without_utf8_is_one_line_that_says_what_to_set(tmp_path):
    (tmp_path / "图.csv").write_text("image,caption\na.jpg,一只狗\n", encoding="utf-8")
    process = run(f"$run corpus {tmp_path}/图.csv", **ASCII)
    assert process.returncode == 1
    assert process.stderr == (
        f"caption-tx: The locale's encoding is ascii, which has no '{tmp_path}/图.csv'; set PYTHONUTF8=1.\n"
    )
    os.rename(tmp_path / "图.csv", tmp_path / "a.csv")
    process = run(f"$run corpus {tmp_path}/a.csv", **ASCII)
    assert process.returncode == 0
    assert process.stderr.splitlines()[0] == (
        "caption-tx: the locale's encoding is ascii, so names of files in other letters are not found; "
        "set PYTHONUTF8=1."
    )
    assert run(f"$run corpus {tmp_path}/a.csv", LC_ALL="POSIX").stderr == ""  # Python chooses UTF-8 itself
