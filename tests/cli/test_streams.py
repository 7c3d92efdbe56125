"""Commands whose standard output or standard error is closed, full, or lost halfway, in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Stands for a command: prints more than a pipe holds, then writes a file, as `train` does at the end of an epoch.
COMMAND = """
import sys
from caption_tx import cli
from caption_tx.cli.output import echo

def run(arguments):
    for index in range(int(arguments.count)):
        echo(f"line {index}")
        print("progress", file=sys.stderr)
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write("complete")

def make_parser():
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("count")
    parser.add_argument("--out")
    parser.set_defaults(run=run)
    return parser

cli.make_parser = make_parser
sys.exit(cli.main())
"""


@pytest.fixture
def shell(tmp_path):
    """Runs a shell command line, in which `$run` is the command; returns the process, which ran in `tmp_path`."""

    def shell(line):
        (tmp_path / "command.py").write_text(COMMAND)
        environment = os.environ | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "run": f"{sys.executable} {tmp_path / 'command.py'}",
        }
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return shell


@pytest.mark.parametrize(
    "redirection",
    ["| head -1", "2>&1 | head -1", ">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", "&>/dev/full"],
)
def test_a_command_that_writes_a_file_completes(shell, tmp_path, redirection):
    process = shell(f"$run 20000 --out result.txt {redirection}")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "result.txt").read_text() == "complete"
    assert "Traceback" not in process.stderr
    lost = "head" in redirection or redirection == ">/dev/full"
    assert ("Standard output was lost" in process.stderr) == (lost and "2>&1" not in redirection)


def test_a_command_that_only_prints_ends_when_its_output_is_lost(shell):
    process = shell("$run 1000000 2>/dev/null | head -1")
    assert (process.returncode, process.stdout) == (1, "line 0\n")
    process = shell("$run 1 >/dev/full")
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "caption-tx: Cannot write to standard output: No space left on device."
    assert shell("$run 1 2>/dev/full").stdout == "line 0\n"
    assert shell("$run 1 >&-").returncode == 0


def test_the_help_into_a_closed_pipe_is_quiet(tmp_path):
    process = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m caption_tx train --help | true"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stderr == ""
