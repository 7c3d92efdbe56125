"""The examples of public functions and all code of the Python guide run."""

import contextlib
import doctest
import functools
import inspect
import io
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import caption_tx
from caption_tx.assets import SHIPPED_BUNDLES, bundle_folder
from caption_tx.bundle import load_bundle

pytestmark = pytest.mark.usefixtures("shared_backbones")

GUIDE = Path(__file__).resolve().parents[2] / "assets" / "docs" / "python.md"
FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def workplace(run, scenes, tmp_path_factory):
    """A folder with what the examples name: photographs, captions and a finished run."""
    frame, images = scenes
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "photos").symlink_to(images)
    frame.to_csv(folder / "captions.csv", index=False)
    for name, scene in zip(("photo.jpg", "dog.jpg", "cat.jpg"), frame["image"].unique(), strict=False):
        Image.open(images / scene).convert("RGB").save(folder / name)
    shutil.copytree(run.workdir, folder / "runs" / "mine")
    # The example of `train` finds its run finished, which takes a tenth of the time of a new one.
    shutil.copytree(run.workdir, folder / "runs" / "first")
    settings = folder / "runs" / "first" / "config.toml"
    text = settings.read_text().replace(str(run.workdir), "runs/first").replace(str(images), "photos")
    settings.write_text(text)
    return folder


@pytest.fixture(scope="module")
def load_once():
    """`load_bundle`, but each bundle is loaded, and each of its searches compiled, once for all examples."""
    return functools.cache(load_bundle)


@pytest.fixture
def names(workplace, run, small, fake_hub, load_once, monkeypatch):
    """The names that examples use. Training is short, and the shipped bundles are that of the run."""
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(
        "caption_tx.bundle.bundle_folder",
        lambda folder: bundle_folder(run.bundle_path if folder in SHIPPED_BUNDLES else folder),
    )
    for module in ("inference.captioner", "api.runs"):
        monkeypatch.setattr(
            f"caption_tx.{module}.load_bundle",
            lambda folder: load_once(caption_tx.bundle.bundle_folder(folder).resolve()),
        )
    lines = []
    original = caption_tx.train

    def short(*arguments, config=None, **settings):
        defaults = small if config is None else {}
        settings = defaults | settings | {"epochs": min(2, settings.get("epochs", 2)), "num_layers": 1}
        settings.pop("model", None)
        with contextlib.redirect_stdout(io.StringIO()):  # of Keras
            return original(*arguments, config=config, **({"log": lines.append} | settings))

    monkeypatch.setattr(caption_tx, "train", short, raising=False)
    backbone = {name: small[name] for name in ("language", "backbone")}
    encode = caption_tx.features
    monkeypatch.setattr(
        caption_tx, "features", lambda *args, **settings: encode(*args, **(backbone | settings)), raising=False
    )
    return {
        "caption_tx": caption_tx,
        "captioner": run.captioner,
        "DecodingOptions": caption_tx.DecodingOptions,
        "lines": lines,
        "pd": pd,
        "small_backbone": {},
    }


PARTS = ("Backbone", "caption_batches", "Captioner", "MaskedLoss", "SampleCaptions", "Tokenizer")


@functools.cache
def parts():
    """What examples of building blocks name: a captioner as a Keras model, and what it is trained on."""
    import numpy as np

    from caption_tx.config import BackboneConfig
    from caption_tx.data.text.vocabulary import SPECIAL_TOKENS

    features = np.random.default_rng(0).random((1, 2, 3, 8), np.float32)
    tokenizer = caption_tx.Tokenizer([*SPECIAL_TOKENS, "一只", "狗", "猫"], "zh")
    captions = pd.DataFrame({"image": ["dog.jpg", "dog.jpg"], "caption": ["一只狗", "狗"]})
    settings = caption_tx.CaptionerSettings(7, (2, 3, 8), 8, 8, num_layers=1, num_heads=2, max_length=9)
    captioner = caption_tx.Captioner(settings)
    batches = caption_tx.caption_batches(captions, {"dog.jpg": features[0]}, tokenizer, max_length=9)
    captioner.compile("adam", caption_tx.MaskedLoss(), run_eagerly=True)  # tracing takes longer
    known = {"captions": captions, "features": features, "tokenizer": tokenizer, "captioner": captioner}
    tools = {"np": np, "BackboneConfig": BackboneConfig, "SPECIAL_TOKENS": SPECIAL_TOKENS}
    return known | tools | {"batches": batches}


def public_functions():
    """The public functions and the public methods of public classes that this package documents."""
    for name in caption_tx.__all__:
        item = getattr(caption_tx, name)
        if inspect.isclass(item):
            yield name, item
            for attribute, method in inspect.getmembers(item, inspect.isfunction):  # inherited ones too
                if not attribute.startswith("_") and method.__module__.startswith("caption_tx"):  # not those of Keras
                    yield f"{name}.{attribute}", method
        elif callable(item):
            yield name, item


def examples(item):
    text = inspect.getdoc(item) or ""
    return doctest.DocTestParser().get_examples(text)


WITH_EXAMPLES = [(name, item) for name, item in public_functions() if examples(item)]


@pytest.mark.parametrize(("name", "item"), WITH_EXAMPLES, ids=[name for name, _ in WITH_EXAMPLES])
def test_examples_of_docstrings(name, item, names, capsys):
    if name in ("tune", "evaluate"):
        pytest.importorskip("pycocoevalcap")
    if name in PARTS:
        names |= parts()
    if name.startswith("AttentionMaps."):
        names["maps"] = names["captioner"].explain("photo.jpg")
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(item), dict(names), name, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False)
    runner.run(test)
    assert not runner.failures, capsys.readouterr().out


def test_public_functions_have_types_and_examples():
    functions = {name: item for name, item in public_functions() if not inspect.isclass(item)}
    for name, function in functions.items():
        assert inspect.getdoc(function), name
        parameters = [item for item in inspect.signature(function).parameters.values() if item.name != "self"]
        untyped = [item.name for item in parameters if item.annotation is inspect.Parameter.empty]
        assert not untyped and "return" in function.__annotations__, (name, untyped)
    top = [name for name in caption_tx.__all__ if inspect.isfunction(getattr(caption_tx, name))]
    methods = [f"ImageCaptioner.{name}" for name in ("caption", "n_best", "captions", "explain", "explanations")]
    assert {*top, *methods} <= {name for name, _ in WITH_EXAMPLES}


def test_the_tutorial_from_parts_is_short():
    [code] = [code for code in FENCE.findall(GUIDE.read_text(encoding="utf-8")) if "build_vocabulary" in code]
    assert len(code.splitlines()) <= 40


@pytest.mark.slow
def test_the_guide_runs(names, capsys):
    pytest.importorskip("pycocoevalcap")
    (Path.cwd() / "weights.h5").touch()
    namespace = {}
    for number, code in enumerate(FENCE.findall(GUIDE.read_text(encoding="utf-8")), 1):
        try:
            exec(compile(code, f"block {number} of python.md", "exec"), namespace)
        except Exception as error:
            raise AssertionError(f"block {number}:\n{code}") from error
    output = capsys.readouterr().out
    assert "gone.jpg cannot be read" in output and "CIDEr" in output and "html" in output
    assert namespace["report"].content["summary"]["problems"] == ["html"]
    tuned = namespace["tuned"]
    assert tuned.history["epoch"].tolist() == [0, 1] and "best val_cider" in repr(tuned)
    assert tuned.captioner.bundle.facts["tuning"]["epoch"] in (0, 1) and len(namespace["run"].history) == 2
    assert str(namespace["caption"]) in output
    assert "Epoch 3, sample captions:\n  dog.jpg" in output
    assert namespace["loaded"].settings == namespace["clone"].settings
    for name in (
        "attention.png",
        "dog.gif",
        "page.html",
        "captions.jsonl",
        "findings.csv",
        "runs/first/test/scores.json",
    ):
        assert Path(name).stat().st_size > 100
