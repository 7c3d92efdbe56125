"""Rules of the code base: imports run one way, functions are short, light modules stay light."""

import ast
import functools
import sys
from collections import Counter
from pathlib import Path

import pytest

import caption_tx

PACKAGE = Path(caption_tx.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@functools.cache
def tree_of(name: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@functools.cache
def nodes_of(name: str) -> list[ast.AST]:
    """All nodes of a module's syntax tree."""
    return list(ast.walk(tree_of(name)))


def attributes_of(name: str) -> list[ast.Attribute]:
    """All attributes that a module reads or sets."""
    return [node for node in nodes_of(name) if isinstance(node, ast.Attribute)]


ORDER = [
    {"errors", "files", "assets", "cores", "threads", "figure_files", "escaping", "hub", "locks", "startup"},
    {"config"},
    {"data", "model"},
    {"bundle_config", "default_bundle"},
    {"bundle_files"},
    {"bundle"},
    {"inference"},
    {"lite"},
    {"evaluation"},
    {"training"},
    {"api"},
    {"export", "serve", "demo"},
    {"cli"},
    {"__main__"},
]
"""Packages and modules, lowest first. Each may import what is on lower levels and itself, and nothing beside it."""

BESIDE_EACH_OTHER = {
    "errors",
    "files",
    "assets",
    "cores",
    "threads",
    "figure_files",
    "escaping",
    "hub",
    "locks",
    "startup",
}
"""The exception: small modules on the lowest level may import each other."""

INSIDE = {
    "data": [{"images", "text", "scenes"}, {"corpus"}, {"features", "checks", "boxes"}, {"preparation", "batches"}],
    "inference": [
        {"search", "drawing"},
        {"attention"},
        {"page", "explanations"},
        {"base_captioner"},
        {"captioner"},
        {"predictions", "prediction_file", "caption_files", "explanation_files"},
    ],
    "data.corpus": [
        {"column_names"},
        {"values"},
        {"names", "tables", "rows", "file_text", "drawn"},
        {"captions"},
        {"readers"},
        {"formats", "beside", "id_tables"},
        {"image_lookup", "memory", "splits", "partitions"},
        {"sources"},
        {"table"},
        {"summary"},
    ],
}
"""The order inside three packages. Here modules on one level may import each other."""

RE_EXPORT = {"caption_tx", "caption_tx.config", "caption_tx.evaluation", "caption_tx.lite"}
"""The only `__init__` modules that contain more than a docstring; `evaluation.score` is used in notebooks."""

MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_MODULES = 350, 60, 7, 30

TESTS = Path(__file__).parent
LONG_TEST_MODULES: dict[str, str] = {}
"""Modules of tests over the limit of lines, each with its reason; at most five."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions over a limit, each with its reason; at most five."""


@functools.cache
def imports_of(name: str) -> set[str]:
    """The modules of this package that a module imports anywhere: at the top, late, or for types only."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    imported = set()
    for node in nodes_of(name):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *filter(None, [node.module])])
            imported |= {full if (full := f"{base}.{alias.name}") in MODULES else base for alias in node.names}
    return {module for module in imported if module.split(".")[0] == "caption_tx"}


def level_of(part: str, order: list[set[str]]) -> int | None:
    """The level of a package or module name in an order; None if it is not listed."""
    return next((level for level, names in enumerate(order) if part in names), None)


def functions(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    """All functions of a module with their qualified names, nested ones included."""
    found = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if not isinstance(child, ast.ClassDef):
                    found.append((f"{prefix}{child.name}", child))
                visit(child, f"{prefix}{child.name}.")
            else:
                visit(child, prefix)

    visit(tree, "")
    return found


def part_of(name: str, prefix: str) -> str:
    """The package or module directly below a package that holds a module."""
    return name.removeprefix(prefix).split(".")[0]


def test_every_module_has_a_level():
    unknown = [name for name in MODULES if name != "caption_tx" and level_of(name.split(".")[1], ORDER) is None]
    assert unknown == []
    for package, order in INSIDE.items():
        prefix = f"caption_tx.{package}."
        parts = {part_of(name, prefix) for name in MODULES if name.startswith(prefix)}
        assert {part for part in parts if level_of(part, order) is None} == set()


def is_upward(part: str, other: str) -> bool:
    """Whether a package or module must not import another."""
    level, other_level = level_of(part, ORDER), level_of(other, ORDER)
    return other_level > level or (other_level == level and not {part, other} <= BESIDE_EACH_OTHER)


def test_imports_run_one_way():
    upward = [
        f"{name} imports {module}"
        for name in MODULES
        for module in imports_of(name) - {"caption_tx"}  # __version__ and the public names
        if name != "caption_tx"
        and module.split(".")[1] != name.split(".")[1]
        and is_upward(name.split(".")[1], module.split(".")[1])
    ]
    assert upward == []


@pytest.mark.parametrize("package", INSIDE)
def test_imports_inside_a_package_run_one_way(package):
    order, prefix = INSIDE[package], f"caption_tx.{package}."
    upward = [
        f"{name} imports {module}"
        for name in MODULES
        if name.startswith(prefix)
        for module in imports_of(name)
        if module.startswith(prefix)
        and level_of(part_of(module, prefix), order) > level_of(part_of(name, prefix), order)
    ]
    assert upward == []


def test_there_are_no_import_cycles():
    graph = {name: imports_of(name) - {name, "caption_tx"} for name in MODULES if name != "caption_tx"}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import cycle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            for module in sorted(graph.get(name, ())):
                visit(module, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("caption_tx.model.")])
def test_model_imports_only_keras_numpy_and_einops(name):
    allowed = {"keras", "numpy", "einops", "caption_tx", *sys.stdlib_module_names} - {"os", "pathlib"}
    for node in nodes_of(name):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            assert module.split(".")[0] in allowed, f"{name} imports {module}"
            own = ("caption_tx.model", "caption_tx.config", "caption_tx.errors")
            assert not module.startswith("caption_tx") or module.startswith(own), module


def test_keras_is_never_taken_from_tensorflow():
    wrong = [
        f"{name}, line {node.lineno}"
        for name in MODULES
        for node in attributes_of(name)
        if isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in FORBIDDEN_ATTRIBUTES
    ]
    assert wrong == []
    sources = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    assert [name for name, text in sources.items() if "tf_keras" in text or "from tensorflow.keras" in text] == []


FORBIDDEN_ATTRIBUTES = {"tf.keras", "tensorflow.keras", "tf.compat"}
"""Attributes by which Keras or the API of TensorFlow 1 is taken from TensorFlow."""


def test_packages_have_few_modules():
    sizes = Counter(path.parent for path in MODULES.values())
    assert {str(folder) for folder, count in sizes.items() if count > MAX_MODULES} == set()


def test_modules_are_short_and_start_with_one_sentence():
    for name, path in MODULES.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_MODULE_LINES, f"{name} has {lines} lines"
        docstring = ast.get_docstring(tree_of(name))
        assert docstring, f"{name} has no docstring"
        first, _, rest = docstring.partition("\n")
        assert first.endswith((".", "?")) and (not rest or rest.startswith("\n")), f"{name}: {first}"


def test_modules_of_tests_are_short():
    lines = {
        str(path.relative_to(TESTS)): len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py")
    }
    too_long = {name for name, count in lines.items() if count > MAX_MODULE_LINES}
    assert too_long == set(LONG_TEST_MODULES), "divide them by kind; fixtures that they share go to conftest.py"
    assert len(LONG_TEST_MODULES) <= 5, "exceptions are few"


def test_functions_are_short_and_take_few_parameters():
    names = set()
    for name in MODULES:
        for function, node in functions(tree_of(name)):
            names.add(f"{name}.{function}")
            lines = node.end_lineno - node.lineno + 1
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(argument.arg not in ("self", "cls") for argument in arguments)
            if f"{name}.{function}" not in LONG_FUNCTIONS:
                assert lines <= MAX_FUNCTION_LINES, f"{name}.{function} has {lines} lines"
                assert count <= MAX_PARAMETERS, f"{name}.{function} has {count} parameters"
    assert len(LONG_FUNCTIONS) <= 5 and set(LONG_FUNCTIONS) <= names, "exceptions are few and still needed"


def test_few_packages_re_export_names():
    packages = [name for name, path in MODULES.items() if path.name == "__init__.py" and name not in RE_EXPORT]
    for name in packages:
        imports = [node for node in tree_of(name).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.asname or alias.name for node in imports for alias in node.names} - {"annotations"}
        used = {node.id for node in nodes_of(name) if isinstance(node, ast.Name)}
        assert names <= used, f"{name} re-exports {sorted(names - used)}"
    assert not list(PACKAGE.rglob("utils.py"))


def test_light_modules_do_not_load_tensorflow(run_python):
    names = [name for name in LIGHT_MODULES if name in MODULES]
    assert len(names) == len(LIGHT_MODULES), set(LIGHT_MODULES) - set(names)
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
    heavy = [module for module in ("tensorflow", "keras", "jieba", "matplotlib", "ray") if module in sys.modules]
    assert not heavy, (name, heavy)
"""
    process = run_python(code)
    assert process.returncode == 0, process.stderr


LIGHT_MODULES = [
    "caption_tx",
    *(f"caption_tx.{name}" for name in ("config", "errors", "assets", "files", "cli", "startup", "api.corpora")),
    "caption_tx.default_bundle",
    *(f"caption_tx.data.{name}" for name in ("corpus.table", "checks.corpus_checks", "images.decoding")),
    *(f"caption_tx.data.text.{name}" for name in ("segmentation", "word_lists", "vocabulary")),
    *(f"caption_tx.training.ray.{name}" for name in ("cluster", "jobs")),
    *(f"caption_tx.evaluation.{name}" for name in ("scores", "evaluate", "gallery")),
    *(f"caption_tx.inference.{name}" for name in ("predictions", "prediction_file", "base_captioner")),
    "caption_tx.lite",
    *(f"caption_tx.inference.attention.{name}" for name in ("maps", "health", "map_files")),
]
"""Modules that import neither TensorFlow nor another slow package, so that commands start and fail fast."""


def test_public_names_are_sorted_and_resolve():
    assert caption_tx.__all__ == sorted(set(caption_tx.__all__))
    assert dir(caption_tx) == caption_tx.__all__
    for name in caption_tx.__all__:
        assert getattr(caption_tx, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = caption_tx.nothing_here


def test_no_module_uses_from_generator():
    """It changes malloc for the whole process, which makes every training step after it half as long again."""
    users = [name for name in MODULES if any(node.attr == "from_generator" for node in attributes_of(name))]
    assert users == [], "use Dataset.counter and take_while, as data/images/reader.py does"
