"""Text of files and names in one line of a terminal, and in cells of spreadsheets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caption_tx.cli import main
from caption_tx.cli.output import echo, warn
from caption_tx.escaping import escape_formula, one_line, unescape_formula


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("一只狗 👩‍👩‍👧.jpg", "一只狗 👩‍👩‍👧.jpg"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[2J\x07\x9b1m\x7f", r"\x1b[2J\x07\x9b1m\x7f"),
        ("a\u2028b\u202etxt.exe\ufeff", r"a\u2028b\u202etxt.exe\ufeff"),
        ("\udcff.jpg", r"\udcff.jpg"),
    ],
)
def test_control_characters_and_undecodable_bytes_are_escaped(text, line):
    assert one_line(text) == line
    line.encode()


@given(st.text(st.sampled_from("'=+-@\t\r＝＋－＠a一"), max_size=5))
def test_no_cell_is_a_formula_and_every_cell_reads_back(text):
    cell = escape_formula(text)
    assert not cell or cell[0] not in "=+-@\t\r＝＋－＠"
    assert unescape_formula(cell) == text
    if text[:1] in ("a", "一", ""):
        assert cell == text


@pytest.mark.parametrize("command", [["caption"], ["explain"], ["evaluate", "--out", "x"], ["corpus"], ["train"]])
def test_an_error_is_one_line(command, capsys, tmp_path):
    name = str(tmp_path / "no\nsuch\x1b[2J\x07")
    command = [*command, name, "--workdir", name] if command == ["train"] else [*command, name]
    try:
        assert main([*command, *(["--bundle", name] if command[0] in ("caption", "explain") else [])]) == 1
    except SystemExit as end:
        assert end.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "\x1b" not in error and "\x07" not in error


def test_wrong_usage_is_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["caption", "a.jpg", "--no\x1b[2J\nsuch"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "\x1b" not in error and "unknown option" in error


def test_printed_lines_keep_tabs_and_line_ends_only(capsys):
    echo("a\tb\x1b[1m\nc\u202e")
    warn("a\nb")
    assert capsys.readouterr() == ("a\tb\\x1b[1m\nc\\u202e\n", "caption-tx: a\\nb\n")
