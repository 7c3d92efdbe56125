"""The bundle that is used when none is named, where the ImageNet weights can be had and where they cannot."""

import json
import socket
import socketserver
import threading
import time
import urllib.request

import pytest

from caption_tx import default_bundle
from caption_tx.assets import DEFAULT_BUNDLE, SMALL_BUNDLES, asset
from caption_tx.cli import main
from caption_tx.config import BackboneConfig
from caption_tx.data.features import downloads
from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR, cached_files, mobilenet_address, require_answer
from caption_tx.default_bundle import choose_bundle
from caption_tx.errors import DownloadError

SMALL = SMALL_BUNDLES[DEFAULT_BUNDLE]
FILE = "mobilenet_1_0_224_tf_no_top.h5"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The empty folder of weights in the cache of Keras."""
    monkeypatch.delenv(WEIGHTS_ENV_VAR, raising=False)
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it reads the proxies once
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def asked(models, monkeypatch):
    """How often the server was asked, which is out of reach."""
    asked = []

    def fail(seconds):
        asked.append(seconds)
        raise TimeoutError("timed out\nat last")

    monkeypatch.setattr(default_bundle, "require_answer", fail)
    return asked


def test_the_small_bundles_ship_with_their_backbone():
    for name, small in SMALL_BUNDLES.items():
        configs = [json.loads(asset(item).joinpath("config.json").read_text("utf-8")) for item in (name, small)]
        assert configs[0]["text"]["language"] == configs[1]["text"]["language"]
        backbones = [(config["backbone"]["name"], config["backbone"]["weights"]) for config in configs]
        assert backbones == [("MobileNet", "imagenet"), ("MobileNet", "photos")]


def test_without_a_way_to_the_weights_one_line_says_what_is_used(asked):
    lines = []
    assert choose_bundle(log=lines.append) == SMALL
    [line] = lines
    assert "\n" not in line and len(line) < 500
    for text in ("(timed out)", f"{SMALL} is used", f"For {DEFAULT_BUNDLE}", f"mobilenet/{FILE}", WEIGHTS_ENV_VAR):
        assert text in line
    assert asked == [default_bundle.CHECK_SECONDS] and asked[0] <= 5
    with pytest.warns(UserWarning, match=f"{SMALL} is used") as warned:
        assert choose_bundle() == SMALL
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("file", "found"),
    [
        (FILE, True),
        ("mobilenet_1_0_224_tf.h5", False),  # with its classifier
        ("mobilenet_2_5_224_tf_no_top.h5", False),
        ("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", False),
    ],
)
def test_cached_weights_are_used(models, asked, file, found):
    (models / file).write_bytes(b"")
    assert choose_bundle(log=print) == (DEFAULT_BUNDLE if found else SMALL)
    assert len(asked) == (not found)


def test_weights_that_are_given_are_used_even_if_they_are_missing(asked, monkeypatch):
    assert choose_bundle("missing.h5") == choose_bundle("imagenet") == DEFAULT_BUNDLE
    monkeypatch.setenv(WEIGHTS_ENV_VAR, "missing.h5")
    assert choose_bundle() == DEFAULT_BUNDLE and asked == []
    monkeypatch.setenv(WEIGHTS_ENV_VAR, "")
    assert choose_bundle(log=print) == SMALL


def test_a_server_that_answers_is_asked_for_the_weights(models, monkeypatch):
    downloaded, lines = [], []
    monkeypatch.setattr(default_bundle, "require_answer", lambda seconds: None)
    monkeypatch.setattr("caption_tx.data.features.weights.download", downloaded.append)
    assert choose_bundle(log=lines.append) == DEFAULT_BUNDLE
    [backbone] = downloaded
    assert (backbone.name, backbone.weights, lines) == ("MobileNet", "imagenet", [])

    def fail(config):
        raise DownloadError("Keras could not ..", "the connection was reset")

    monkeypatch.setattr("caption_tx.data.features.weights.download", fail)
    assert choose_bundle(log=lines.append) == SMALL
    assert "(the connection was reset)" in lines[0]


def test_every_entry_asks_once_and_only_if_no_bundle_is_named(monkeypatch, capsys, write_pictures, tmp_path):
    from caption_tx.cli import bundles
    from caption_tx.inference import captioner as captioning
    from caption_tx.serve import models as serving

    chosen, loaded, tried = [], [], []

    def choose(weights=None, log=None):
        chosen.append(weights)
        if log is not None:
            log("the small one")
        return SMALL

    def load(bundle, weights=None):
        loaded.append(bundle)
        raise DownloadError("stop here")

    for module in (bundles, captioning, serving):
        monkeypatch.setattr(module, "choose_bundle", choose)
    monkeypatch.setattr(captioning, "load_bundle", load)
    monkeypatch.setattr(bundles, "_load_cached", lambda bundle, *_: tried.append(bundle))
    [picture] = write_pictures(tmp_path, 1)
    for command in ("caption", "explain"):
        for given in ([], ["--bundle", DEFAULT_BUNDLE], ["--bundle", ""]):
            assert main([command, str(tmp_path / picture), *given]) == 1
            assert ("small one" in capsys.readouterr().err) == (not given)
    assert loaded == [SMALL, DEFAULT_BUNDLE, ""] * 2 and chosen == [None] * 2
    assert tried == [DEFAULT_BUNDLE, SMALL, DEFAULT_BUNDLE, ""] * 2  # exports in the cache
    for arguments in ([], [None, "w.h5"], [DEFAULT_BUNDLE]):
        with pytest.raises(DownloadError):
            captioning.load(*arguments)
    assert loaded[6:] == [SMALL, SMALL, DEFAULT_BUNDLE] and chosen[2:] == [None, "w.h5"]
    lines = []
    assert serving.name_bundles(None, "w.h5", lines.append) == [SMALL] and lines == ["the small one"]
    assert serving.name_bundles([], None, lines.append) == [] and len(chosen) == 5


def test_the_server_serves_that_bundle_unless_it_shows_a_run(monkeypatch, tmp_path, capsys):
    server = pytest.importorskip("caption_tx.serve.server")

    def load(names, weights):
        raise DownloadError(f"{names} with {weights}")

    monkeypatch.setattr("caption_tx.serve.models.choose_bundle", lambda weights, log: SMALL)
    monkeypatch.setattr(server, "load_bundles", load)
    monkeypatch.setattr(server, "start_tensorflow", lambda parallel_chunks: None)
    (tmp_path / "config.toml").write_text("")
    expected = {(): f"['{SMALL}'] with None", ("--bundle", "x"): "['x'] with None", (str(tmp_path),): "[] with None"}
    for arguments, text in expected.items():
        assert main(["serve", "--port", "0", *arguments]) == 1
        assert capsys.readouterr().err == f"caption-tx: {text}\n"


def test_other_networks_are_recognized_in_the_cache(models):
    names = [
        "mobilenet_1_0_128_tf_no_top.h5",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
        "efficientnetv2-b0_notop.h5",
    ]
    for name in names:
        (models / name).write_bytes(b"")
    found = {
        name: [names.index(path.name) for path in cached_files(BackboneConfig(name))]
        for name in ("MobileNetV2", "MobileNetV3Large", "ResNet50V2", "ResNet50", "InceptionV3", "EfficientNetV2B0")
    }
    assert list(found.values()) == [[1], [2], [3], [], [], [5]]
    assert [path.name for path in cached_files(BackboneConfig("InceptionV3"), with_top=True)] == [names[4]]
    assert [path.name for path in cached_files(BackboneConfig(image_size=128))] == [names[0]]
    assert mobilenet_address(BackboneConfig(alpha=0.75, image_size=96)).endswith("/mobilenet_7_5_224_tf_no_top.h5")


def test_a_server_that_is_silent_is_left_in_time(models, monkeypatch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setattr(downloads, "SERVER", f"http://127.0.0.1:{server.getsockname()[1]}")
        start = time.perf_counter()
        with pytest.raises(OSError, match=r"timed out|did not answer"):
            require_answer(0.2)
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(10))  # it has no timeout
    with pytest.raises(OSError, match=r"did not answer within 0\.2 seconds"):
        require_answer(0.2)
    ended.set()
    assert time.perf_counter() - start < 5


def test_a_proxy_is_asked(models, monkeypatch):
    lines = []

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self):
            lines.append(self.rfile.readline())
            self.wfile.write(b"HTTP/1.0 403 Forbidden\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setattr(downloads, "SERVER", "http://weights.invalid")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
        require_answer(5)
    assert lines == [b"HEAD http://weights.invalid HTTP/1.1\r\n"]


def test_a_proxy_that_is_not_an_address_is_a_reason(models, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://nowhere:port")
    lines = []
    assert choose_bundle(log=lines.append) == SMALL
    assert "nonnumeric port: 'port'" in lines[0]
