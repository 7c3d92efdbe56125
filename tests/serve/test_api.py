"""The HTTP API: captions, explanations, errors, and every answer belongs to its request."""

import concurrent.futures
import io
import itertools
import json
import random
import zlib

import numpy as np
import pytest
from PIL import Image


def post(client, path="/v1/captions", files=(), **fields):
    parts = [("image", (name, data, "image/png")) for name, data in files]
    return client.post(path, files=parts, data=fields)


def test_captions_equal_those_of_the_bundle(client, service, picture):
    [bundle] = service.bundles.values()
    response = post(client, files=[("a.png", picture(1)), ("b.png", picture(2))], beam_width="4", n_best="3")
    assert response.status_code == 200, response.text
    document = response.json()
    assert document["search"]["beam_width"] == 4 and document["bundle"] == bundle.name
    assert [image["name"] for image in document["images"]] == ["a.png", "b.png"]
    for image, seed in zip(document["images"], (1, 2), strict=True):
        expected = bundle.captioner.n_best(picture(seed), beam_width=4, n_best=3)
        assert [caption["text"] for caption in image["captions"]] == [caption.text for caption in expected]
        for caption, own in zip(image["captions"], expected, strict=True):
            assert caption["log_probability"] == pytest.approx(own.log_probability, abs=1e-3)
            assert caption["finished"] == own.finished and caption["words"] == list(own.words)


def save_frames(form):
    """A file of three pages or frames."""
    frames, file = [Image.new("RGB", (40, 40), color) for color in ("red", "blue", "green")], io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


def test_pages_and_frames_are_noted(client, picture):
    files = [("scan.tif", save_frames("TIFF")), ("film.gif", save_frames("GIF")), ("a.png", picture(1))]
    text = "1 of 1 images with several pages or frames, of which only the first is read "
    for path, fields in (("/v1/captions", {}), ("/v1/explanations", {}), ("/v1/explanations", {"format": "card"})):
        scan, film, plain = (image["notes"] for image in post(client, path, files, **fields).json()["images"])
        assert [note["code"] for note in scan + film] == ["several_pictures"] * 2 and plain == []
        assert scan[0]["note"].startswith(f"{text}(scan.tif, 3 pages); save each page")
        assert film[0]["note"].startswith(f"{text}(film.gif, 3 frames); save each page")


def test_raw_bytes_with_options_in_the_address(client, service, picture):
    [bundle] = service.bundles.values()
    address = "/v1/captions?temperature=1.5&seed=7&samples=5&n_best=2"
    response = client.post(address, content=picture(3), headers={"Content-Type": "image/png"})
    expected = bundle.captioner.n_best(picture(3), temperature=1.5, seed=7, samples=5, n_best=2)
    [image] = response.json()["images"]
    assert image["name"] == "image 1"
    assert [caption["text"] for caption in image["captions"]] == [caption.text for caption in expected]


def test_every_answer_belongs_to_its_request(client, service, picture):
    """160 mixed requests from 8 clients: several searches, typed captions, and a quarter of damaged images."""
    [bundle] = service.bundles.values()
    searches = [{}, {"temperature": "1", "seed": "5", "samples": "5"}, {"beam_width": "4", "n_best": "3"}]
    images = {seed: picture(seed) for seed in range(6)}
    numbers = [{name: float(value) if "." in value else int(value) for name, value in one.items()} for one in searches]
    expected = {
        (seed, index): bundle.captioner.caption(data, **options).text
        for (seed, data), (index, options) in itertools.product(images.items(), enumerate(numbers))
    }
    shuffled = random.Random(0)
    damaged = [b"", b"not an image", images[0][:200], b"\xff\xd8\xff" + bytes(500)]

    def request(number):
        seed, index = shuffled.randrange(6), shuffled.randrange(4)
        if number % 4 == 0:
            response = post(client, files=[(f"{number}.png", damaged[number // 4 % 4])], **searches[index % 3])
            return response.status_code == 422 and response.json()["error"].startswith(f"{number}.png ")
        if index == 3:
            response = post(client, "/v1/explanations", [(f"{number}.png", images[seed])], caption="a b c")
            [image] = response.json()["images"]
            return image["name"] == image["maps"]["image"] == f"{number}.png" and image["maps"]["caption"] == "a b c"
        response = post(client, files=[(f"{number}.png", images[seed])], **searches[index])
        [image] = response.json()["images"]
        return image["name"] == f"{number}.png" and image["captions"][0]["text"] == expected[seed, index]

    assert len(set(expected.values())) > 6
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        assert all(clients.map(request, range(160)))
    sizes = service.metrics.registry.get_sample_value
    assert sizes("caption_tx_batch_size_sum") > sizes("caption_tx_batch_size_count")  # some were answered together
    assert service.engine.waiting == 0 and service._in_progress == 0


def test_explanations_in_every_format(client, picture, service):
    files = [("cat.png", picture(4))]
    [image] = post(client, "/v1/explanations", files).json()["images"]
    shape = image["maps"]["shape"]
    assert np.shape(image["maps"]["scores"]) == tuple(shape)
    [bundle] = service.bundles.values()
    own = bundle.captioner.explain(("cat.png", picture(4)))
    np.testing.assert_allclose(image["maps"]["scores"], own.scores, atol=1e-4)
    figure = post(client, "/v1/explanations", files, format="png", layer="0", pool="max")
    assert figure.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(figure.content)).width > 200
    page = post(client, "/v1/explanations", [*files, ("dog.png", picture(5))], format="page", page_language="zh")
    assert page.text.count('class="card"') == 2 and 'lang="zh-Hans"' in page.text
    assert "attachment" in page.headers["content-disposition"]
    card = post(client, "/v1/explanations", files, format="card", caption="a zzz").json()["images"][0]["card"]
    assert [word["unknown"] for word in card["data"]["words"]] == [False, True, False]
    assert card["html"].count("<button") == 4


def test_the_caption_of_a_rank_is_explained(client, picture):
    options = {"beam_width": "4", "n_best": "3", "rank": "2"}
    [image] = post(client, "/v1/explanations", [("a.png", picture(6))], **options).json()["images"]
    assert image["maps"]["caption"] == image["captions"][2]["text"] != image["captions"][0]["text"]


def test_one_damaged_image_among_others_has_an_error(client, picture):
    files = [("good.png", picture(1)), ("bad.png", b"nothing")]
    good, bad = post(client, files=files).json()["images"]
    assert good["captions"] and bad == {
        "name": "bad.png",
        "error": "bad.png cannot be read: it is not an image of a known format.",
        "code": "unreadable_image",
    }


ERRORS = {
    "unknown option": (422, {"beam_with": "4"}, "Did you mean 'beam_width'?"),
    "not a number": (422, {"beam_width": "x"}, "beam_width must be an integer, got 'x'."),
    "out of range": (422, {"temperature": "-1"}, "temperature must be"),
    "incompatible": (422, {"top_k": "3"}, "top_k and top_p require sampling"),
    "unknown word": (422, {"beam_width": "2", "force_words": "xyz"}, "'xyz' not in the model's vocabulary"),
    "too many hypotheses": (422, {"beam_width": "65"}, "at most 64"),
    "too long": (422, {"max_length": "99"}, "max_length must be at most 11"),
    "bundle": (404, {"bundle": "../../etc"}, "There is no bundle '../../etc' here"),
    "twice": (422, {"seed": ["1", "2"]}, "seed is given 2 times"),
}


@pytest.mark.parametrize(("status", "fields", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_of_options(client, picture, status, fields, message):
    response = post(client, files=[("a.png", picture())], **fields)
    assert response.status_code == status and message in response.json()["error"]
    assert "\n" not in response.json()["error"]
    assert response.json()["code"] == ("unknown_bundle" if status == 404 else "invalid_option")


EXPLANATION_ERRORS = {
    "format": ({"format": "pdf"}, "format must be one of json, png, page, card"),
    "layer": ({"layer": "1"}, "layer"),
    "search of a typed caption": ({"caption": "a", "beam_width": "2"}, "do not apply to a given caption"),
    "no words": ({"caption": "?!"}, "contains no words"),
    "rank": ({"rank": "2"}, "too few captions for rank 2"),
    "color map": ({"cmap": "__import__"}, "__import__"),
    "language": ({"page_language": "fr"}, "page_language"),
}


@pytest.mark.parametrize(("fields", "message"), EXPLANATION_ERRORS.values(), ids=EXPLANATION_ERRORS)
def test_errors_of_explanations(client, picture, fields, message):
    response = post(client, "/v1/explanations", [("a.png", picture())], **fields)
    assert response.status_code == 422 and message in response.json()["error"], response.text
    assert response.json()["code"] == ("invalid_caption" if "no words" in message else "invalid_option")


def test_errors_of_bodies(client, picture):
    assert client.post("/v1/captions").status_code == 422
    response = client.post("/v1/captions", json={"image": "http://example.org/a.png"})
    assert response.status_code == 415 and "'application/json'" in response.json()["error"]
    response = client.post("/v1/captions", files={"file": picture()})
    assert response.status_code == 422 and "'file' is unknown" in response.json()["error"]
    response = client.post("/v1/captions", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert response.status_code == 422 and "form cannot be read" in response.json()["error"]
    response = client.post("/v1/captions", files=[("image", ("a", picture(), "image/png"))] * 17)
    assert response.status_code == 422 and "Too many files" in response.json()["error"]
    response = post(client, files=[("big.png", bytes(2**20 + 1))])
    assert response.status_code == 413 and "big.png has 1,048,577 bytes" in response.json()["error"]
    response = client.get("/v1/captions")
    assert response.status_code == 405
    assert response.json() == {"error": "GET is not allowed here; use POST.", "code": "method_not_allowed"}
    response = client.get("/v2")
    assert response.status_code == 404 and response.json() == {"error": "There is no /v2 here.", "code": "not_found"}
    response = client.get("/v1/run/maps")
    assert response.status_code == 422 and "image: Field required" in response.json()["error"]
    response = client.get("/v1/run")
    assert response.status_code == 404 and response.json()["code"] == "no_run"


def test_names_are_never_opened_and_are_escaped(client, picture, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(1))
    response = post(client, files=[(str(secret), b"damaged")])
    assert response.status_code == 422 and response.json()["error"].startswith("secret.png cannot be read")
    hostile = "<img src=x onerror=alert(1)>.png"
    card = post(client, "/v1/explanations", [(hostile, picture())], format="card").json()["images"][0]["card"]
    assert "<img src=x" not in card["html"] and "&lt;img src=x" in card["html"]


def test_a_bomb_and_a_polyglot(client, picture):
    plain = picture()
    for side in (8_000, 60_000):  # width and height in the header, with a valid checksum
        header = b"IHDR" + side.to_bytes(4, "big") * 2 + plain[24:29]
        bomb = plain[:12] + header + zlib.crc32(header).to_bytes(4, "big") + plain[33:]
        response = post(client, files=[("bomb.png", bomb)])
        assert response.status_code == 422
        message = f"bomb.png is too large: {side * side:,} pixels; the limit is 50,000,000 pixels"
        assert message in response.json()["error"]
        assert response.json()["code"] == "too_many_pixels"
    polyglot = picture(1) + b"<script>alert(1)</script>" + b"PK\x03\x04"
    response = post(client, files=[("a.png", polyglot)])
    assert response.status_code == 200 and "<script>" not in response.text


def test_bundles_health_metrics_and_descriptions(client, service):
    [bundle] = client.get("/v1/bundles").json()["bundles"]
    assert bundle["default"] and bundle["language"] == "en" and bundle["layers"] == 1
    assert client.get("/healthz").json()["status"] == "ok"
    text = client.get("/metrics").text
    assert 'caption_tx_requests_total{path="/healthz",status="200"}' in text
    assert "caption_tx_request_seconds_bucket" in text and "caption_tx_batch_size_bucket" in text
    document = client.get("/openapi.json").json()
    form = document["paths"]["/v1/captions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["beam_width"]["type"] == "integer"
    docs = client.get("/docs")
    assert (
        docs.status_code == 200 and "<code>beam_width</code>" in docs.text and "//" not in docs.text.split("<pre>")[0]
    )


def test_a_full_queue_is_told_to_try_again(client, service, picture):
    with service.admitted(24):
        response = post(client, files=[("a.png", picture())])
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert "queue of 24 images is full" in response.json()["error"] and response.json()["code"] == "queue_full"
    assert post(client, files=[("a.png", picture())]).status_code == 200


def test_the_json_is_what_the_library_writes(client, picture, service):
    [image] = post(client, "/v1/explanations", [("a.png", picture(2))], caption="a b").json()["images"]
    [bundle] = service.bundles.values()
    own = json.loads(bundle.captioner.explain(("a.png", picture(2)), "a b").to_json())
    assert image["maps"].keys() == own.keys() and image["maps"]["tokens"] == own["tokens"]
