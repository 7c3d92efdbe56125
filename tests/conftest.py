"""Fixtures for the tests of several packages."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read once, when TensorFlow loads
# Tests compile many searches and run each a few times: without LLVM's optimizations that takes half as long.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Parallel test processes divide the cores among them.
os.environ.setdefault(
    "TF_NUM_INTRAOP_THREADS",
    f"{max(1, (os.cpu_count() or 1) // int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1')))}",
)

import dataclasses
import functools
import gc
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

# Traced graphs are millions of objects, which the default thresholds visit again and again.
gc.set_threshold(20_000, 10, 10)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None):
    """Frees the objects of a module after its last test. What is left stays to the end: collections skip it then."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()
    return result


def pytest_collection_finish() -> None:
    """Collections skip the imported modules."""
    gc.collect()
    gc.freeze()


ROOT = Path(__file__).resolve().parents[1]
LONG_FILES = (
    *("test_ray.py", "test_notebook.py", "test_replicas.py", "test_examples.py", "test_distribution.py"),
    *("test_fit.py", "test_decode.py", "test_search.py", "test_end_to_end.py", "test_lite.py", "test_captioner.py"),
    *("test_batching.py", "test_savedmodel.py", "test_networks.py", "test_bundle.py", "test_shipped_bundles.py"),
)
"""Files with few, long tests: they run first, so that no process is left alone with them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the long files to the front."""
    items.sort(key=lambda item: LONG_FILES.index(item.path.name) if item.path.name in LONG_FILES else len(LONG_FILES))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of photographs, captions and weights beside a developer's checkout; it is not published."""
    path = ROOT.parent / "shared"
    if not (path / "data" / "flickr8k").is_dir():
        pytest.skip(f"the real corpus is missing ({path / 'data' / 'flickr8k'})")
    return path


@pytest.fixture(scope="session")
def run_python():
    """Runs code in a new Python process that finds the package; returns the finished process."""

    def run(code: str, *arguments: object, timeout: float = 180) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser():
    """Chromium, for one module: while it runs, Playwright and asyncio cannot be started in this process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the tests of pages need Playwright")
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium is installed (on Debian and Ubuntu: apt-get install chromium)")
    with (
        playwright.sync_playwright() as running,
        running.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser,
    ):
        yield browser


LATIN = """() => {
  const texts = [document.title], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ALL);
  for (let node = walk.currentNode; node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE && !node.parentElement.closest('script, noscript, template, [lang=en]'))
      texts.push(node.data);
    for (const name of ['aria-label', 'aria-valuetext', 'alt', 'title', 'placeholder'])
      if (node.nodeType === Node.ELEMENT_NODE && node.hasAttribute(name)) texts.push(node.getAttribute(name));
  }
  return [...new Set(texts.join(' ').match(/[A-Za-z]+/g))].sort();
}"""


@pytest.fixture(scope="session")
def latin_words():
    """Lists the words in Latin letters in all visible and accessible text of a page that is not marked as English."""
    return lambda page: page.evaluate(LATIN)


class ForkedPython:
    """A process forked from one that has imported TensorFlow; see `fork_server.py`."""

    def __init__(self, server: subprocess.Popen, folder: Path, code: str, arguments: tuple) -> None:
        self._folder, self.arguments = folder, [code, *map(str, arguments)]
        request = {
            "code": code,
            "arguments": self.arguments[1:],
            "environment": dict(os.environ),
            "folder": str(folder),
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()

    def wait(self, timeout: float = 180) -> subprocess.CompletedProcess:
        """Waits for the end of the process, which is killed at the timeout."""
        end = time.monotonic() + timeout
        while not (self._folder / "returncode").exists():
            if time.monotonic() > end:
                self.kill()
                raise subprocess.TimeoutExpired(self.arguments, timeout, self._read("stdout"), self._read("stderr"))
            time.sleep(0.02)
        code = int((self._folder / "returncode").read_text())
        return subprocess.CompletedProcess(self.arguments, code, self._read("stdout"), self._read("stderr"))

    def kill(self) -> None:
        """Kills the process if it still runs."""
        if (self._folder / "pid").exists() and not (self._folder / "returncode").exists():
            os.kill(int((self._folder / "pid").read_text()), signal.SIGKILL)

    def _read(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@pytest.fixture(scope="session")
def start_forked(tmp_path_factory):
    """Starts code as `run_forked` does; returns the running process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, str(Path(__file__).with_name("fork_server.py"))]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    processes = []

    def start(code: str, *arguments: object) -> ForkedPython:
        processes.append(ForkedPython(server, tmp_path_factory.mktemp("process"), code, arguments))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
    server.kill()  # its processes have ended
    server.communicate()


@pytest.fixture(scope="session")
def run_forked(start_forked):
    """Runs code in a process of its own, in which TensorFlow is imported but has not started; seconds faster than
    `run_python`."""

    def run(code: str, *arguments: object, timeout: float = 180) -> subprocess.CompletedProcess:
        return start_forked(code, *arguments).wait(timeout)

    return run


RAY_CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray cluster of two nodes with one CPU each; it ends with the process that started it."""
    # Not in tmp_path: the path of a socket has at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="ray")
    # Ray finds the user's own cluster through a file in its folder, so this test uses another folder.
    environment = os.environ | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    environment["RAY_worker_niceness"] = "0"  # else its workers starve while other tests run
    command = [sys.executable, "-c", RAY_CLUSTER]
    owner = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = owner.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield address
    finally:
        owner.stdin.close()
        try:
            owner.wait(60)
        except subprocess.TimeoutExpired:
            owner.kill()  # Ray ends its other processes
            owner.wait()
        owner.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def parallel_chunks(monkeypatch) -> int:
    """Parallel chunks of a process that this test starts, and whose threads are not configured."""
    from caption_tx.cores import count_cores
    from caption_tx.threads import choose_chunks

    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return choose_chunks(count_cores())


@pytest.fixture(scope="session")
def sizes() -> dict:
    """Settings of a tiny Captioner: different primes as dimensions where possible, and a grid that is not square."""
    return {
        "vocabulary_size": 13,
        "feature_shape": (3, 5, 7),
        "hidden_dim": 22,
        "intermediate_dim": 17,
        "num_layers": 3,
        "num_heads": 2,
        "max_length": 11,
        # With random weights, pre-norm blocks generate captions of many lengths; post-norm blocks end at once.
        "norm_order": "pre",
    }


@pytest.fixture(scope="session")
def make_captioner(sizes):
    """Makes a tiny Captioner whose weights are all random and large enough to matter."""

    def make(seed: int = 0, **changes):
        import keras

        from caption_tx.model.captioner import Captioner
        from caption_tx.model.settings import CaptionerSettings

        keras.utils.set_random_seed(seed)
        captioner = Captioner(CaptionerSettings(**(sizes | changes)))
        random = np.random.default_rng(seed)
        for weight in captioner.weights:
            weight.assign(weight + random.normal(0, 0.2, weight.shape))
        return captioner

    return make


@pytest.fixture(scope="session")
def features(sizes) -> np.ndarray:
    """Activations of 7 images, (7, h, w, C) in [0, 6]."""
    return np.random.default_rng(1).uniform(0, 6, (7, *sizes["feature_shape"])).astype(np.float32)


@pytest.fixture(scope="session")
def tokenizer(sizes):
    """A tokenizer with the vocabulary of the tiny Captioner; its words are single letters."""
    from caption_tx.data.text.tokenizer import Tokenizer
    from caption_tx.data.text.vocabulary import SPECIAL_TOKENS

    return Tokenizer([*SPECIAL_TOKENS, *"abcdefghi"][: sizes["vocabulary_size"]], "en")


@pytest.fixture(scope="session")
def backbone_config(tmp_path_factory):
    """A MobileNet 0.25 for 32-pixel images, with random kernels, and normalized so that activations fill [0, 6]."""
    import keras

    from caption_tx.config import BackboneConfig

    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(0).uniform(-1, 1, (16, 32, 32, 3)).astype(np.float32), training=True)
    path = tmp_path_factory.mktemp("backbone") / "random.weights.h5"
    network.save_weights(path)
    return BackboneConfig(alpha=0.25, feature_layer="conv_pw_3_relu", image_size=32, weights=str(path))


@pytest.fixture(scope="session")
def backbone(backbone_config):
    """The loaded backbone."""
    from caption_tx.data.features.backbone import Backbone

    return Backbone(backbone_config)


@pytest.fixture(scope="session")
def write_pictures():
    """Writes `count` PNG files of noise into a folder; returns their names."""

    def write(folder: Path, count: int, size: tuple[int, int] = (41, 37), first: int = 0) -> list[str]:
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{index:03d}.png" for index in range(first, first + count)]
        for index, name in enumerate(names, first):
            pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(folder / name)
        return names

    return write


@pytest.fixture(scope="session")
def tiny_bundles(make_captioner, tokenizer, backbone, tmp_path_factory):
    """The folders of two tiny bundles with random weights: number of layers -> folder. Tests change copies only."""
    from caption_tx.bundle import Bundle, save_bundle
    from caption_tx.config import TextConfig

    folders = {}
    for layers in (1, 3):
        folders[layers] = tmp_path_factory.mktemp("tiny") / "bundle"
        model = make_captioner(seed=3, feature_shape=backbone.feature_shape, num_layers=layers)
        save_bundle(Bundle(model, tokenizer, TextConfig(language="en"), backbone.config, backbone.key), folders[layers])
    return folders


@pytest.fixture(scope="module")
def backbone_weights(backbone_config):
    """The environment variable for the weights of the tiny bundles' backbone."""
    from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS_ENV_VAR, backbone_config.weights)
        yield


@pytest.fixture(scope="module")
def bundle(tiny_bundles, backbone_weights):
    """The folder of a tiny bundle with three layers, whose backbone's weights are found."""
    return str(tiny_bundles[3])


@pytest.fixture(scope="module")
def one_layer_bundle(tiny_bundles, backbone_weights):
    """A bundle like `bundle` with a single layer, because exporting takes seconds per layer."""
    return str(tiny_bundles[1])


@pytest.fixture(scope="session")
def load_once():
    """Loads bundles and keeps them for all tests of this process, since each would build its graphs again.

    Bundles that differ in their default search only share the model, and with it the graphs.
    """
    from caption_tx.inference import captioner as captioning

    load, models = captioning.load, {}

    @functools.lru_cache(maxsize=8)
    def load_once(bundle, backbone_weights=None):
        captioner = load(bundle, backbone_weights)
        shared = models.setdefault(captioner.digest, captioner)
        captioner.bundle = dataclasses.replace(captioner.bundle, captioner=shared.bundle.captioner)
        if "backbone" in vars(shared) and shared._backbone_weights == backbone_weights:
            captioner.backbone = shared.backbone
        return captioner

    return load_once


@pytest.fixture(scope="module")
def loaded_once(load_once):
    """The commands of a module load each bundle once, and compile each search for one batch size."""
    from caption_tx.inference import captioner as captioning
    from caption_tx.inference.search import decode

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "BATCH_SIZES", (8,))
        patch.setattr(captioning, "load", load_once)
        yield
