"""Many images explained together: in order, the same as each alone, and without stopping at errors."""

import numpy as np
import pytest

from caption_tx.config import DecodingOptions
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.attention.maps import AttentionMaps


@pytest.fixture(scope="module")
def captioner(load_once, loaded_once, one_layer_bundle, backbone_config):
    return load_once(one_layer_bundle, backbone_config.weights)


@pytest.fixture(scope="module")
def names(tmp_path_factory, write_pictures):
    folder = tmp_path_factory.mktemp("photos")
    names = [str(folder / name) for name in write_pictures(folder, 5, size=(700, 350))]
    (folder / "bad.png").write_bytes(b"not an image")
    return [*names[:2], str(folder / "bad.png"), *names[2:]]


def test_images_are_explained_in_order_despite_errors(captioner, names):
    options = DecodingOptions(temperature=1.0, seed=2)
    results = list(captioner.explanations(iter(names), options=options, batch_size=4))
    assert [name for name, _ in results] == names
    assert isinstance(results[2][1], ImageError) and "bad.png" in str(results[2][1])
    captions = set()
    for name, maps in results[:2] + results[3:]:
        caption = captioner.caption(name, temperature=1.0, seed=2)
        assert maps.caption == caption.text
        np.testing.assert_allclose(maps.log_probabilities, caption.log_probabilities, atol=1e-3)
        alone = captioner.explain(name, temperature=1.0, seed=2)
        np.testing.assert_allclose(maps.scores, alone.scores, atol=1e-4)
        np.testing.assert_allclose(maps.pooled(pool="rollout").sum(axis=(1, 2)), 1, atol=1e-5)
        np.testing.assert_allclose(maps.pooled(pool="posterior").sum(axis=(1, 2)), 1, atol=1e-5)
        assert maps.picture.shape == (320, 640, 3)
        captions.add(caption.text)
    assert len(captions) > 1


def test_given_caption_is_explained_for_all_images(captioner, names):
    caption = captioner.caption(names[0], temperature=1.0, seed=2)
    for target in (caption, caption.text):
        for _, maps in captioner.explanations(names[:2], target):
            assert maps.caption == caption.text
    unknown = captioner.explain(names[0], "a zebra")
    assert unknown.unknown == (False, True, False)
    assert unknown.titles[1] == "zebra(?)" and unknown.language == "en"


def test_images_as_bytes(captioner, names):
    with open(names[0], "rb") as file:
        [(name, maps)] = captioner.explanations([("-", file.read())], "a b")
    assert (name, maps.image) == ("-", "-")
    np.testing.assert_allclose(maps.scores, captioner.explain(names[0], "a b").scores, atol=1e-6)


def test_missing_rank_is_an_error_of_that_image(captioner, names):
    few = DecodingOptions(temperature=1e-3, samples=3, n_best=3)  # all samples are the same caption
    (_, result), (_, other) = captioner.explanations(names[:2], rank=2, options=few, batch_size=1)
    assert isinstance(result, CaptionTxError) and not isinstance(other, AttentionMaps)
    with pytest.raises(CaptionTxError, match=r"fewer than 3 captions.*000\.png"):
        captioner.explain(names[0], rank=2, temperature=1e-3, samples=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": -1}, "rank must be from 0"),
        ({"rank": 1}, "n_best"),
        ({"caption": "a", "temperature": 0.5}, "remove temperature\\."),
        ({"caption": "a", "rank": 1}, "remove rank"),
    ],
)
def test_invalid_requests_are_rejected(captioner, names, arguments, message):
    with pytest.raises(ConfigError, match=message):
        captioner.explain(names[0], **arguments)
