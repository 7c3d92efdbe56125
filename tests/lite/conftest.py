"""A tiny exported file."""

import pytest


@pytest.fixture(scope="module")
def bundle(make_captioner, tokenizer, backbone, backbone_config, tmp_path_factory):
    """A bundle with a single layer, because converting takes seconds per layer."""
    from caption_tx.bundle import Bundle, save_bundle
    from caption_tx.config import TextConfig
    from caption_tx.data.features.weights import WEIGHTS_ENV_VAR

    folder = tmp_path_factory.mktemp("small") / "bundle"
    model = make_captioner(seed=3, feature_shape=backbone.feature_shape, num_layers=1)
    save_bundle(Bundle(model, tokenizer, TextConfig(language="en"), backbone.config, backbone.key), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS_ENV_VAR, backbone_config.weights)
        yield str(folder)


@pytest.fixture(scope="module")
def captioner(bundle):
    """The bundle in TensorFlow."""
    import caption_tx

    return caption_tx.load(bundle)


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
