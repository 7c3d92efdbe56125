"""Captions of any number of images: in order, read ahead, and the same as for each image alone."""

import base64
import dataclasses
import itertools
import threading
import time

import numpy as np
import pytest

from caption_tx.bundle import Bundle
from caption_tx.config import BackboneConfig, DecodingOptions, TextConfig
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.images.decoding import read_image
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.inference.captioner import ImageCaptioner


@pytest.fixture(scope="module")
def captioner(load_once, one_layer_bundle, backbone_config):
    return load_once(one_layer_bundle, backbone_config.weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_pictures):
    """Eleven images and three files that are not images."""
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder, 11)
    (folder / "003x.png").write_bytes(b"not an image")
    (folder / "007x.png").write_bytes((folder / "007.png").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def names(folder):
    return [*sorted(map(str, folder.iterdir())), f"{folder}/gone.png"]


def summary(results):
    return [(name, result if isinstance(result, ImageError) else result[0].token_ids) for name, result in results]


@pytest.mark.parametrize(("batch_size", "temperature"), [(1, 1.0), (4, 0.0), (64, 1.0)])
def test_captions_equal_those_of_each_image_alone(captioner, names, batch_size, temperature):
    results = list(captioner.captions(iter(names), DecodingOptions(temperature, seed=5), batch_size))
    assert [name for name, _ in results] == names
    kinds = set()
    for name, result in results:
        if isinstance(result, ImageError):
            assert name in str(result)
            with pytest.raises(ImageError, match=r"003x|007x|gone"):
                captioner.caption(name)
            continue
        alone = captioner.n_best(name, temperature=temperature, seed=5)
        assert [caption.token_ids for caption in result] == [caption.token_ids for caption in alone]
        np.testing.assert_allclose(result[0].log_probabilities, alone[0].log_probabilities, atol=1e-5)
        assert captioner.caption(name, temperature=temperature, seed=5) == alone[0]
        kinds.add(alone[0].token_ids)
    assert len(kinds) > 1
    assert sum(isinstance(result, ImageError) for _, result in results) == 3


@pytest.fixture(scope="module")
def published(shared, make_captioner, tokenizer):
    """A captioner with the published MobileNet weights, and 6 photographs."""
    weights = shared / "weights" / "mobilenet_1_0_224_no_top_to_conv_pw_12.weights.h5"
    if not weights.exists():
        pytest.skip(f"the backbone's weights are not here ({weights})")
    config = BackboneConfig(weights=str(weights))
    backbone = Backbone(config)
    model = make_captioner(feature_shape=backbone.feature_shape, num_layers=1)
    captioner = ImageCaptioner(
        Bundle(model, tokenizer, TextConfig(language="en"), backbone.config, backbone.key), backbone.config.weights
    )
    paths = sorted((shared / "data" / "flickr8k" / "images").rglob("*.jpg"))[:6]
    return captioner, np.stack([read_image(str(path), backbone.config.image_size)[1] for path in paths])


@pytest.mark.parametrize("size", [1, 5])
def test_features_are_bitwise_equal_in_any_batch(published, size):
    """A batch size of 5 leaves a last batch of one image."""
    captioner, pictures = published
    together = captioner.features(pictures).numpy()
    assert len(together) == 6 and together.std() > 0.2
    for start in range(0, 6, size):
        np.testing.assert_array_equal(
            captioner.features(pictures[start : start + size]), together[start : start + size]
        )


def test_file_content_seeds_the_samples(captioner, folder):
    data = (folder / "000.png").read_bytes()
    files = [(str(number), data + b"\0" * number) for number in range(8)]  # the same image for every decoder
    drawn = {captions[0].token_ids for _, captions in captioner.captions(files, DecodingOptions(1.0))}
    assert len(drawn) > 1


def test_batch_without_readable_image(captioner, folder):
    names = [f"{folder}/{name}" for name in ("003x.png", "gone.png", "000.png")]
    results = list(captioner.captions(names, batch_size=2))
    assert [isinstance(result, ImageError) for _, result in results] == [True, True, False]


def test_bytes_tables_and_folders_equal_files(captioner, folder, tmp_path):
    path = folder / "000.png"
    [(_, [expected])] = captioner.captions([path], DecodingOptions(1.0))
    (tmp_path / "t.tsv").write_text(f"seven\t{base64.b64encode(path.read_bytes()).decode()}\n")
    for name, location in (
        (("-", path.read_bytes()), ""),
        ("000.png", str(folder)),
        ("seven", str(tmp_path / "t.tsv")),
        (f"{tmp_path}/t.tsv/seven", ""),
        ("000.png", open_images(str(folder))),
    ):
        [(result_name, [caption])] = captioner.captions([name], DecodingOptions(1.0), location=location)
        assert result_name == (name[0] if isinstance(name, tuple) else name)
        assert caption == expected


def test_file_name_may_be_invalid_utf8(captioner, folder, tmp_path):
    name = f"{tmp_path}/\udcff.png"
    with open(name, "wb") as file:
        file.write((folder / "000.png").read_bytes())
    [(result_name, [caption])] = captioner.captions([name])
    assert result_name == name
    assert caption == captioner.caption(folder / "000.png")


def wait_for_threads(before):
    end = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    return threading.active_count() <= before


def test_names_are_read_lazily_and_closing_ends_the_threads(captioner, folder):
    taken = itertools.count()
    before = threading.active_count()
    endless = (f"{folder}/{next(taken) % 11:03d}.png" for _ in itertools.count())
    results = captioner.captions(endless, batch_size=4)
    assert [name for name, _ in itertools.islice(results, 30)][-1] == f"{folder}/{29 % 11:03d}.png"
    results.close()
    assert next(taken) < 200
    assert wait_for_threads(before)


def test_closing_ends_while_the_next_name_is_awaited(captioner, folder):
    never = threading.Event()

    def names():
        yield f"{folder}/000.png"
        never.wait(60)

    results = captioner.captions(names(), batch_size=1)
    assert next(results)[0] == f"{folder}/000.png"
    begin = time.monotonic()
    results.close()
    waited = time.monotonic() - begin
    assert not never.is_set() and waited < 30
    never.set()


def test_error_of_the_names_follows_the_images_before_it(captioner, folder):
    def names():
        yield f"{folder}/000.png"
        yield f"{folder}/001.png"
        raise CaptionTxError("the list ends here")

    results = captioner.captions(names(), batch_size=4)
    assert [name[-7:] for name, _ in itertools.islice(results, 2)] == ["000.png", "001.png"]
    with pytest.raises(CaptionTxError, match="the list ends here"):
        next(results)


def test_search_errors_are_raised(captioner, folder):
    before = threading.active_count()
    with pytest.raises(ConfigError, match="max_length"):
        list(captioner.captions([f"{folder}/000.png"] * 50, DecodingOptions(max_length=400), batch_size=2))
    with pytest.raises(ConfigError, match="batch_size must be at least 1 image, got 0"):
        next(captioner.captions([f"{folder}/000.png"], batch_size=0))
    assert wait_for_threads(before)


def test_digest_distinguishes_bundles(captioner, make_captioner, tokenizer, backbone, backbone_config):
    model = make_captioner(seed=3, feature_shape=backbone.feature_shape, num_layers=1)

    def digest(**changes):
        language, key = changes.get("language", "en"), backbone.key | changes.get("key", {})
        words = type(tokenizer)(tokenizer.vocabulary, language)
        return ImageCaptioner(Bundle(model, words, TextConfig(language=language), backbone_config, key)).digest

    assert digest() == captioner.digest
    others = {digest(language="zh"), digest(key={"weights_sha256": "0"})}
    model.weights[0].assign(model.weights[0] + 1e-3)
    assert len({*others, digest(), captioner.digest}) == 4


def forms_of(path):
    """The same image in the forms of a file, and in those of pixels."""
    import io

    import tensorflow as tf
    from PIL import Image

    data = path.read_bytes()
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return [str(path), path, data, io.BytesIO(data)], [pixels, Image.fromarray(pixels), tf.constant(pixels)]


def test_every_form_of_an_image_gives_the_same_samples(captioner, folder):
    files, pixels = forms_of(folder / "000.png")
    options = DecodingOptions(1.0, seed=5)
    for forms in (files, pixels):
        alone = [captioner.caption(form, temperature=1.0, seed=5) for form in forms]
        together = [caption for _, [caption] in captioner.captions((form for form in forms), options)]
        assert alone == [alone[0]] * len(forms)
        several = captioner.caption(forms, temperature=1.0, seed=5)
        assert [caption.token_ids for caption in [*together, *several]] == [alone[0].token_ids] * (2 * len(forms))
    maps = captioner.explain(pixels, "a b")
    expected = captioner.explain(files[0], "a b")
    for other in maps:
        np.testing.assert_allclose(other.scores, expected.scores, atol=1e-6)
        np.testing.assert_array_equal(other.picture, expected.picture)
    assert [name for name, _ in captioner.explanations(pixels, "a b")] == ["image 1", "image 2", "image 3"]
    features = np.asarray(captioner.features([*files, *pixels]))
    np.testing.assert_array_equal(features, np.repeat(features[:1], len(files) + len(pixels), axis=0))
    np.testing.assert_array_equal(captioner.features(folder / "000.png"), features[:1])


def test_several_images_give_a_list(captioner, folder):
    names = [f"{folder}/000.png", f"{folder}/001.png"]
    texts = [captioner.caption(name).text for name in names]
    assert [caption.text for caption in captioner.caption(iter(names))] == texts
    assert [[caption.text for caption in best] for best in captioner.n_best(tuple(names), beam_width=4, n_best=4)] == [
        [caption.text for caption in captioner.n_best(name, beam_width=4, n_best=4)] for name in names
    ]
    assert [name for name, _ in captioner.captions({"one": names[0], "two": names[1]})] == ["one", "two"]
    with pytest.raises(ImageError, match="gone"):
        captioner.caption([*names, f"{folder}/gone.png"])
    with pytest.raises(ImageError, match="gone"):
        captioner.explain([*names, f"{folder}/gone.png"])


def test_a_text_instead_of_a_list_is_an_error_at_once(captioner):
    for method in (captioner.captions, captioner.explanations, captioner.features):
        with pytest.raises(ImageError, match=r"got the text 'photos'|photos cannot be read"):
            method("photos")


def test_wrong_arrays_and_options_are_explained(captioner, folder):
    with pytest.raises(ImageError, match=r"expected uint8 values from 0 to 255.*255 \* image"):
        captioner.caption(np.zeros((8, 8, 3)))
    with pytest.raises(ImageError, match=r"image 2 is a value of type numpy\.ndarray of float64"):
        list(captioner.captions([folder / "000.png", np.zeros((8, 8, 3))]))
    for call in (captioner.caption, captioner.n_best, captioner.explain):
        with pytest.raises(ConfigError, match=r"Unknown option 'temprature'.* mean 'temperature'"):
            call(folder / "000.png", temprature=1)


def test_captions_are_searched_as_the_bundle_says_unless_options_override_it(captioner, folder):
    beam = DecodingOptions(beam_width=4, consensus=0.3)
    stored = ImageCaptioner(dataclasses.replace(captioner.bundle, decoding=beam), captioner._backbone_weights)
    image = str(folder / "004.png")
    keywords = {"beam_width": 4, "consensus": 0.3}
    assert captioner.search_options() == DecodingOptions() != stored.search_options() == beam
    assert stored.n_best(image) == captioner.n_best(image, **keywords)
    assert stored.n_best(image)[0].expected_utility is not None
    assert stored.n_best(image, n_best=3) == captioner.n_best(image, n_best=3, **keywords)
    assert stored.caption(image, beam_width=1) == captioner.caption(image)
    assert stored.caption(image, temperature=1.0, seed=2) == captioner.caption(image, temperature=1.0, seed=2)
    [(_, found)] = stored.captions([image])
    [(_, replaced)] = stored.captions([image], DecodingOptions())
    assert (found, replaced) == (captioner.n_best(image, **keywords), captioner.n_best(image))
    assert stored.explain(image, rank=2).caption == captioner.explain(image, rank=2, **keywords).caption
    [(_, maps)] = stored.explanations([image])
    assert maps.caption == stored.caption(image).text
    with pytest.raises(ConfigError, match="top_k and top_p require sampling"):
        stored.caption(image, top_k=2)
