"""Real photographs without a download: the small bundle, with networking blocked and an empty cache of Keras."""

import json
import re

import numpy as np
import pytest
from PIL import Image

CHINESE = re.compile(r"[一-鿿]{3,}")

OFFLINE = """
import os, socket, sys

def no_network(*_, **__):
    raise OSError(101, "Network is unreachable")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = no_network
os.environ["KERAS_HOME"] = sys.argv[1]
os.environ.pop("CAPTION_TX_BACKBONE_WEIGHTS", None)
from caption_tx.cli import main

sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A meadow under the sky, with noise."""
    pixels = np.random.default_rng(0).integers(0, 60, (120, 160, 3))
    pixels[:50, :, 2] += 180
    pixels[50:, :, 1] += 110
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def offline(run_forked, tmp_path_factory):
    """Runs a command without a network."""
    return lambda *arguments: run_forked(OFFLINE, tmp_path_factory.mktemp("keras"), *arguments)


def test_the_small_bundle_captions_without_a_network(offline, photo):
    process = offline("caption", photo, "--bundle", "flickr8k-zh-small")
    assert process.returncode == 0 and CHINESE.search(process.stdout), process.stderr


def test_the_small_bundle_explains_without_a_network(offline, photo, tmp_path):
    page = tmp_path / "photo.html"
    process = offline("explain", photo, "--bundle", "flickr8k-zh-small", "--json", "--out", page)
    assert process.returncode == 0 and json.loads(process.stdout)["images"], process.stderr
    assert page.stat().st_size > 10_000


def test_the_full_bundle_says_what_works_without_a_network(offline, photo):
    process = offline("caption", photo)
    assert process.returncode == 1 and process.stdout == ""
    [line] = [line for line in process.stderr.splitlines() if "download" in line]
    for text in ("Network is unreachable", "--backbone-weights photos", "flickr8k-zh-small", "CAPTION_TX_BACKBONE"):
        assert text in line
