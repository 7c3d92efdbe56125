"""Photographs without a download, with networking blocked and an empty cache of Keras: the small bundle is used."""

import json
import re

import numpy as np
import pytest
from PIL import Image

CHINESE = re.compile(r"[一-鿿]{3,}")

BLOCKED = """
import os, socket, sys

def no_network(*_, **__):
    raise OSError(101, "Network is unreachable")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = no_network
os.environ["KERAS_HOME"] = sys.argv[1]
os.environ.pop("CAPTION_TX_BACKBONE_WEIGHTS", None)
"""

OFFLINE = f"""{BLOCKED}
from caption_tx.cli import main

sys.exit(main(sys.argv[2:]))
"""

LIBRARY = f"""{BLOCKED}
import warnings
import caption_tx

with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    captioner = caption_tx.load()
print(captioner.name, sum("is used" in str(item.message) for item in warned))
print(captioner.caption(sys.argv[2]))
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


def lines_about_the_choice(process):
    return [line for line in process.stderr.splitlines() if "flickr8k-zh-small is used" in line]


@pytest.mark.slow
def test_a_photograph_is_captioned_without_a_network(offline, photo):
    process = offline("caption", photo, "--json", "--beam-width", "1")  # compiled much faster than the default search
    assert process.returncode == 0, process.stderr
    [row] = json.loads(process.stdout)
    assert CHINESE.search(row["caption"]) and row["bundle"] == "flickr8k-zh-small"
    [line] = lines_about_the_choice(process)
    assert "Network is unreachable" in line and "mobilenet_1_0_224_tf_no_top.h5" in line
    assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_a_photograph_is_explained_without_a_network(offline, photo, tmp_path):
    page = tmp_path / "photo.html"
    process = offline("explain", photo, "--caption", "绿色的草地", "--json", "--out", page)
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert document["images"] and document["bundle"] == "flickr8k-zh-small"
    assert page.stat().st_size > 10_000 and len(lines_about_the_choice(process)) == 1


@pytest.mark.slow
def test_a_bundle_that_is_named_is_never_replaced(offline, photo):
    process = offline("caption", photo, "--bundle", "flickr8k-zh")
    assert process.returncode == 1 and process.stdout == ""
    [line] = [line for line in process.stderr.splitlines() if "download" in line]
    for text in ("Network is unreachable", "--backbone-weights photos", "flickr8k-zh-small", "CAPTION_TX_BACKBONE"):
        assert text in line
    assert not lines_about_the_choice(process)


@pytest.mark.slow
def test_real_photographs_in_processes_of_their_own(run_python, shared, tmp_path):
    photographs = sorted((shared / "data" / "flickr8k" / "images").glob("*.jpg"))[:2]
    process = run_python(OFFLINE, tmp_path / "keras", "caption", *photographs)
    assert process.returncode == 0 and len(CHINESE.findall(process.stdout)) >= 2, process.stderr
    assert len(lines_about_the_choice(process)) == 1
    captions = [line.split("\t")[1] for line in process.stdout.splitlines()]
    process = run_python(LIBRARY, tmp_path / "keras", photographs[0])
    assert process.stdout.splitlines() == ["flickr8k-zh-small 1", captions[0]], process.stderr
