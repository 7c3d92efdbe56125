"""A server with a tiny bundle, in this process."""

import io
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the tests of the server need the extra serve")


@pytest.fixture(scope="session")
def run_server():
    """Puts a service behind a socket; yields its address."""
    return _run_server


@contextmanager
def _run_server(service):
    import uvicorn

    from caption_tx.serve.server import server_config

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(server_config(service))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def shared_service(tiny_bundles, backbone_config):
    """A service whose searches are compiled."""
    from caption_tx.config import ServingOptions
    from caption_tx.serve.models import load_bundles
    from caption_tx.serve.service import Service

    bundles = load_bundles([str(tiny_bundles[1])], backbone_config.weights)
    for item in bundles.values():
        item.warm_up(4, lambda text: None)
    service = Service(bundles, ServingOptions(max_batch=4, queue=24, max_image_mb=1), workers=2)
    yield service
    service.close()


@pytest.fixture
def service(shared_service, backbone_weights):
    """The shared service; the bundles that a test adds are removed."""
    bundles = dict(shared_service.bundles)
    yield shared_service
    shared_service.bundles.clear()
    shared_service.bundles.update(bundles)


@pytest.fixture(scope="session")
def address(shared_service, run_server):
    with run_server(shared_service) as address:
        yield address


@pytest.fixture(scope="session")
def client(address):
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def picture():
    """Makes the bytes of an image file with noise."""

    def make(seed=0, size=(41, 37), suffix="png"):
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, suffix)
        return stream.getvalue()

    return make
