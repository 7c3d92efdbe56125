"""The parser: options generated from settings, help texts, start-up."""

import argparse

import pytest

from caption_tx.cli.options import SECTIONS
from caption_tx.cli.parser import make_parser
from caption_tx.cli.reference import commands_of
from caption_tx.config.fields import settings_of

COMMANDS = commands_of(make_parser())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_command_with_example(name):
    parser = COMMANDS[name]
    text = parser.format_help()
    assert parser.description and f"caption-tx {name} " in parser.epilog
    assert len(parser.format_usage().splitlines()) == 1
    for action in parser._actions:
        assert action.help and not action.help.endswith("."), action
    assert "%" not in text and "examples" not in text


@pytest.mark.parametrize("name", COMMANDS)
def test_example_parses(name):
    [example] = COMMANDS[name].epilog.removeprefix("example:").strip().splitlines()
    program, *arguments = example.split()
    assert program == "caption-tx"
    assert make_parser().parse_args(arguments).command == name


def test_names_that_look_like_options_follow_a_double_dash():
    assert make_parser().parse_args(["caption", "--", "--odd", "-x"]).images == ["--odd", "-x"]
    arguments = make_parser().parse_args(["caption", "a.jpg", "--prefix", "--a b"])  # as argparse reads spaces
    assert getattr(arguments, "decoding.prefix") == "--a b"


def test_every_flag_is_an_option_of_a_command():
    options = {
        (action.dest, flag)
        for parser in COMMANDS.values()
        for action in parser._actions
        for flag in action.option_strings
    }
    for section, cls in SECTIONS.items():
        for name, item in settings_of(cls).items():
            if item.flag is not None:
                assert (f"{section}.{name}", item.flag) in options


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["caption", "a.jpg", "--beam-width", "wide"], "invalid int value: 'wide'"),
        (["train", "a", "--workdir", "w", "--stage-epochs", "1,x"], "expected values separated by commas, got '1,x'"),
        (["train", "a", "--workdir", "w", "--language", "fr"], "invalid choice: 'fr'"),
        (["features", "a"], "the following arguments are required: --cache"),
        (["paint"], "invalid choice: 'paint'"),
        (["trian", "a.csv"], "invalid choice: 'trian'; did you mean 'train'?"),
        (["xyzzy"], "invalid choice: 'xyzzy' (choose from demo, corpus"),
        (["explain", "a.jpg", "--pool", "rolout"], "invalid choice: 'rolout'; did you mean 'rollout'?"),
        (["train", "a", "--workdri", "w"], "caption-tx train: unknown option --workdri; did you mean '--workdir'?"),
        (["caption", "a.jpg", "--temprature=1"], "unknown option --temprature; did you mean '--temperature'?"),
        (["caption", "a.jpg", "--xyzzy"], "unknown option --xyzzy (see"),
        (["--versoin"], "unknown option --versoin; did you mean '--version'?"),
    ],
)
def test_wrong_usage_exits_with_2(command, message, capsys):
    with pytest.raises(SystemExit) as caught:
        make_parser().parse_args(command)
    error = capsys.readouterr().err
    assert (caught.value.code, message in error) == (2, True)
    assert len(error.splitlines()) <= 3


def test_help_loads_neither_tensorflow_nor_pandas(run_python):
    process = run_python("""
import sys
from caption_tx.cli.parser import make_parser
make_parser().format_help()
heavy = [name for name in ("tensorflow", "keras", "pandas", "numpy", "matplotlib", "jieba") if name in sys.modules]
assert not heavy, heavy
""")
    assert process.returncode == 0, process.stderr


def test_parser_has_no_other_action_types():
    """The reference knows these only."""
    known = (argparse._StoreAction, argparse._StoreConstAction, argparse._AppendAction, argparse._HelpAction)
    assert all(isinstance(action, known) for parser in COMMANDS.values() for action in parser._actions)
