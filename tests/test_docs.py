"""README and guides: links lead somewhere, commands parse, Python examples import what exists."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from caption_tx.cli.parser import make_parser

ROOT = Path(__file__).resolve().parents[1]
DOCS = [
    ROOT / "README.md",
    ROOT / "caption_tx" / "README.md",
    ROOT / "experiments" / "README.md",
    *sorted((ROOT / "assets").rglob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`[^`\n]*`")
SHELL_OPERATORS = {"|", "&&", ";", "<", ">", "||"}


def name_of(path):
    return str(path.relative_to(ROOT))


def blocks(path, language):
    return [text for found, text in FENCE.findall(path.read_text(encoding="utf-8")) if found == language]


def slug(heading):
    """The anchor that GitHub gives a heading: lowercase, punctuation removed, spaces to hyphens."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return {slug(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


def commands(path):
    """The argument lists of all `caption-tx` calls in the shell blocks of a document."""
    for block in blocks(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            lexer.commenters = "#"
            try:
                words = list(lexer)
            except ValueError:  # a quotation that continues on the next line
                continue
            while "caption-tx" in words:
                words = words[words.index("caption-tx") + 1 :]
                end = next((index for index, word in enumerate(words) if word in SHELL_OPERATORS), len(words))
                yield words[:end]


ALL_COMMANDS = [(name_of(path), arguments) for path in DOCS for arguments in commands(path)]


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_every_relative_link_leads_somewhere(path):
    text = CODE_SPAN.sub("", FENCE.sub("", path.read_text(encoding="utf-8")))
    for target in LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"{name_of(path)} links to {target}"
        assert linked.is_relative_to(ROOT), f"{name_of(path)} links outside the repository: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{name_of(path)} links to {target}; headings: {sorted(anchors(linked))}"


@pytest.mark.parametrize("path", sorted((ROOT / "assets" / "docs").glob("*.md")), ids=name_of)
def test_the_list_at_the_top_of_a_guide_has_every_section(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    listed = re.findall(r"^- \[.+?\]\(#(.+?)\)", text, re.MULTILINE)
    sections = [slug(title) for title in re.findall(r"^## (.+)$", text, re.MULTILINE)]
    assert [anchor for anchor in listed if anchor in sections] == sections


@pytest.fixture(scope="module")
def parser():
    return make_parser()


@pytest.mark.parametrize(
    ("path", "arguments"), ALL_COMMANDS, ids=lambda value: value if isinstance(value, str) else " ".join(value)[:80]
)
def test_every_command_line_parses(parser, path, arguments):
    try:
        parser.parse_args(arguments)
    except SystemExit as error:
        pytest.fail(f"{path}: caption-tx {shlex.join(arguments)} does not parse: exit code {error.code}")


def test_the_command_lines_cover_every_command():
    used = {arguments[0] for _, arguments in ALL_COMMANDS}
    commands = "demo corpus features train tune choose-search caption evaluate explain export serve"
    assert used >= set(commands.split())
    listed = re.findall(r"^\| `caption-tx ([\w-]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == commands.split()


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_python_examples_import_what_exists(path):
    for block in blocks(path, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("caption_tx"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{name_of(path)}: {node.module}.{alias.name}"


@pytest.mark.parametrize("path", DOCS, ids=name_of)
def test_module_names_in_text_exist(path):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"`(caption_tx(?:\.\w+)+)(?:\(.*?\))?`", text):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            assert hasattr(importlib.import_module(module), attribute), f"{name_of(path)}: {name}"
    for name in re.findall(r"`((?:caption_tx|experiments|tests)/[\w/]+\.py)`", text):
        assert (ROOT / name).is_file(), f"{name_of(path)}: {name}"


def test_modules_that_the_map_names_exist():
    text = (ROOT / "caption_tx" / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:\w+/)+(?:\w+\.(?:py|js))?)`", text)
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / "caption_tx" / path).exists() or (ROOT / path).exists(), path


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200
