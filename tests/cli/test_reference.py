"""The command reference in assets/docs/cli.md."""

from pathlib import Path

from caption_tx.cli.options import SECTIONS
from caption_tx.cli.parser import make_parser
from caption_tx.cli.reference import commands_of, reference
from caption_tx.config.fields import settings_of

PATH = Path(__file__).resolve().parents[2] / "assets" / "docs" / "cli.md"


def test_reference_is_up_to_date():
    text = PATH.read_text(encoding="utf-8")
    assert text == reference(), "Run: python -m caption_tx.cli.reference > assets/docs/cli.md"


def test_every_command_and_option_is_documented():
    text = PATH.read_text(encoding="utf-8")
    for name, parser in commands_of(make_parser()).items():
        section = text.split(f"\n## caption-tx {name}\n")[1].split("\n## ")[0]
        for action in parser._actions:
            for flag in action.option_strings[-1:]:
                assert flag == "--help" or f"| `{flag}" in section, (name, flag)


def test_every_setting_is_documented():
    text = PATH.read_text(encoding="utf-8").split("\n## config.toml\n")[1]
    for section in ("corpus", "text", "backbone", "model", "training", "boxes"):
        table = text.split(f"\n[{section}]\n")[1]
        for name in settings_of(SECTIONS[section]):
            assert f"\n{name} = " in table or f"\n# {name} = " in table
