"""A tiny exported file."""

import importlib.util

import pytest


@pytest.fixture(scope="module")
def captioner(load_once, one_layer_bundle):
    """The bundle in TensorFlow."""
    return load_once(one_layer_bundle)


@pytest.fixture(scope="module")
def exported(captioner, tmp_path_factory):
    """The report of its export, with a beam width of 3."""
    from caption_tx.config import ExportOptions
    from caption_tx.export.exporting import export_captioner

    folder = tmp_path_factory.mktemp("export")
    return export_captioner(captioner, folder / "tiny.tflite", ExportOptions(beam_width=3, parts=True))


@pytest.fixture(scope="module")
def lite(exported):
    """The exported file."""
    import caption_tx.lite

    return caption_tx.lite.load(exported.path)


@pytest.fixture(scope="module")
def files(write_pictures, tmp_path_factory):
    """Pictures of the size of the backbone, so that reading them rounds nothing."""
    folder = tmp_path_factory.mktemp("pictures")
    return [str(folder / name) for name in write_pictures(folder, 5, size=(32, 32))]


@pytest.fixture
def without(monkeypatch):
    """Makes modules look as if they were not installed."""

    def remove(*names: str) -> None:
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))

    return remove
