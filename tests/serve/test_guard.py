"""What stands before the app: hosts, origins, tokens, and limits of bodies. No model is loaded."""

import asyncio

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from caption_tx.config import ServingOptions
from caption_tx.errors import ConfigError
from caption_tx.serve import guard
from caption_tx.serve.guard import Access, Guard

TOKEN = "correct horse battery staple"


async def echo(scope, receive, send):
    """Answers with the number of bytes of the body."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def call(method="POST", path="/v1/captions", *, options=None, max_body=1000, content=b"", **headers):
    app = Guard(echo, Access.from_options(options or ServingOptions()), max_body)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://{names.pop('host', 'localhost:7860')}{path}"

    async def send():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.request(method, url, content=content, headers=names)

    return asyncio.run(send()), app


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST"])
def test_own_names_are_accepted(host):
    assert call(host=host)[0].status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:7860", "localhost.evil.example"]
)
def test_foreign_names_are_rejected(host):
    response, _ = call("GET", "/", host=host)
    assert response.status_code == 403 and "--allow-host" in response.json()["error"]
    assert response.json()["code"] == "unknown_host"


def test_a_public_address_accepts_addresses_and_allowed_names():
    options = ServingOptions(host="0.0.0.0", no_token=True, allow_host=("captions.example.org",))
    for host in ("192.168.1.5:7860", "captions.example.org", "[fe80::1]:80"):
        assert call(host=host, options=options)[0].status_code == 200
    assert call(host="evil.example", options=options)[0].status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:8000", "file://"])
def test_posts_of_other_origins_are_rejected(origin):
    response, _ = call(origin=origin)
    assert response.status_code == 403 and "other origins" in response.json()["error"]


def test_other_pages_cannot_make_a_browser_ask_for_answers():
    for headers in ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert call("GET", "/v1/run/maps?image=a", **headers)[0].status_code == 403
        assert call("GET", "/", **headers)[0].status_code == 200  # a link to the page


def test_posts_of_the_own_page_and_of_programs_are_accepted():
    assert call(origin="http://localhost:7860", sec_fetch_site="same-origin")[0].status_code == 200
    assert call()[0].status_code == 200
    assert call(sec_fetch_site="cross-site")[0].status_code == 403


def test_the_token():
    options = ServingOptions(token=TOKEN)
    for path in ("/v1/captions", "/metrics"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
            response, _ = call("GET", path, options=options, **headers)
            assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
            assert TOKEN not in response.text
        assert call("GET", path, options=options, authorization=f"Bearer {TOKEN}")[0].status_code == 200
    for path in ("/", "/healthz", "/assets/page.js"):
        assert call("GET", path, options=options)[0].status_code == 200


def test_public_addresses_need_a_token_or_an_explicit_no():
    with pytest.raises(ConfigError, match=r"Other machines can reach 0\.0\.0\.0: set token, or no_token"):
        ServingOptions(host="0.0.0.0")
    with pytest.raises(ConfigError, match="token and no_token are incompatible"):
        ServingOptions(token=TOKEN, no_token=True)
    for token in ("short", "x" * 15, " " * 20, "中" * 20, "a\n" * 10):
        with pytest.raises(ConfigError, match="at least 16 printable ASCII"):
            ServingOptions(token=token)
    assert ServingOptions(host="::1").is_loopback and not ServingOptions(host="10.0.0.1", token=TOKEN).is_loopback


def test_a_large_body_is_rejected_before_it_is_read():
    read = []

    async def body():
        read.append(1)
        yield b"x"

    response, _ = call(content=body(), content_length="50000000")
    assert response.status_code == 413 and "50000000 bytes; the limit is 1,000" in response.json()["error"]
    assert response.headers["connection"] == "close" and len(read) <= 1
    assert call(content=b"x" * 1000)[0].text == "1000"


def test_a_body_without_a_length_is_cut_at_the_limit():
    sent = []

    async def body():
        for _ in range(50):
            sent.append(1)
            yield bytes(100)

    response, app = call(content=body())
    assert response.status_code == 413 and len(sent) <= 12
    assert app._buffered == 0


def test_a_slow_body_is_given_up(monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)

    async def body():
        for _ in range(50):
            yield b"x"
            await asyncio.sleep(0.03)

    response, app = call(content=body())
    assert response.status_code == 408 and "did not arrive within 0.1 seconds" in response.json()["error"]
    assert app._buffered == 0


def test_bodies_together_are_bounded(monkeypatch):
    monkeypatch.setattr(guard, "BUFFERED_BYTES", 500)
    response, app = call(content=b"x" * 501)
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert app._buffered == 0
    assert call(content=b"x" * 500)[0].status_code == 200


def test_headers_protect_the_page():
    response, _ = call("GET", "/")
    policy = response.headers["content-security-policy"]
    for part in ("default-src 'none'", "connect-src 'self'", "img-src data: blob:", "frame-ancestors 'none'"):
        assert part in policy
    assert "unsafe" not in policy and response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
