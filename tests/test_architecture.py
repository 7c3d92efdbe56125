"""The rules of the house: imports run one way, and light modules stay light."""

import ast
import sys
from pathlib import Path

import pytest

import caption_tx

PACKAGE = Path(caption_tx.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
ORDER = {
    "errors": 0, "config": 0, "assets": 0, "files": 0, "figure_files": 0, "threads": 0, "data": 1, "model": 2,
    "bundle": 3, "inference": 4,
    "evaluation": 5, "training": 6, "export": 7, "app": 7, "demo": 7, "cli": 8, "__main__": 9,
}  # fmt: skip
"""`errors = config < data = model < bundle < inference < evaluation < training < export = app = demo < cli`."""

BESIDE = {("data", "model"), ("model", "data")}
"""Rooms of one rank that do not know each other."""

MAX_LINES = 500


def imports_of(name: str) -> set[str]:
    """Full names of all modules, and names in them, that a module imports anywhere in it."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str | None:
    """The room of a name in this package, or None for the package's top (`caption_tx.__version__`)."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ORDER else None


def test_every_module_is_in_a_room_with_a_place_in_the_order():
    assert [name for name in MODULES if name != "caption_tx" and room_of(name) is None] == []
    assert len(MODULES) > 15


@pytest.mark.parametrize("name", [name for name in MODULES if name != "caption_tx"])
def test_imports_run_one_way(name):
    room = room_of(name)
    for module in imports_of(name):
        if not module.startswith("caption_tx."):
            continue
        other = room_of(module)
        if other is None:
            assert module in ("caption_tx.__version__", "caption_tx.load", "caption_tx.train"), module
        else:
            assert ORDER[other] <= ORDER[room], f"{name} imports {module}"
            assert (room, other) not in BESIDE, f"{name} imports {module}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("caption_tx.model.")])
def test_model_knows_only_keras_numpy_and_einops(name):
    allowed = {"keras", "numpy", "einops", *sys.stdlib_module_names}
    for module in imports_of(name):
        assert module.split(".")[0] in allowed or module.startswith("caption_tx.model."), module
        assert module.split(".")[0] not in ("os", "pathlib"), module


@pytest.mark.parametrize("name", MODULES)
def test_keras_is_never_taken_from_tensorflow(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    attributes = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not [item for item in attributes if item.startswith(("tf.keras", "tensorflow.keras", "tf.compat"))]
    assert not [item for item in imports_of(name) if item.startswith(("tensorflow.keras", "tf_keras"))]


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_short(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES


@pytest.mark.parametrize("name", MODULES)
def test_modules_say_what_they_are(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))


def test_light_modules_do_not_load_tensorflow(run_python):
    names = ["", ".config", ".errors", ".assets", ".cli"]
    names += [".data.corpus.table", ".data.checks.corpus_checks"]
    names += [".data.images.decoding", ".data.images.sources", ".data.images.discovery"]
    names += [".data.text.segmentation", ".data.text.word_lists", ".data.text.vocabulary"]
    names += [".data.scenes.corpus"]
    names += [".training.ray.cluster", ".training.ray.jobs"]
    names += [".evaluation", ".evaluation.evaluate", ".evaluation.gallery", ".evaluation.report"]
    names += [".inference.predictions", ".inference.prediction_file"]
    names += [".inference.attention.maps", ".inference.attention.health", ".inference.attention.map_files"]
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module("caption_tx" + name)
    heavy = [module for module in ("tensorflow", "keras", "jieba", "matplotlib", "ray") if module in sys.modules]
    assert not heavy, ("caption_tx" + name, heavy)
"""
    process = run_python(code)
    assert process.returncode == 0, process.stderr


def test_public_names_are_sorted_and_resolve():
    assert caption_tx.__all__ == sorted(set(caption_tx.__all__))
    assert dir(caption_tx) == caption_tx.__all__
    for name in caption_tx.__all__:
        assert getattr(caption_tx, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = caption_tx.nothing_here
