"""The page in Chromium, for tests of what a reader sees and hears."""

import hashlib

import numpy as np
import pytest

from caption_tx.inference.attention.words import END_TOKEN
from caption_tx.inference.page.render import render_page

FUNCTION_STRENGTH = 0.4
"""Opacity of the maps of function words, as a share of the others' (`page.js`)."""

_OPACITIES = """([card, rows, columns]) => {
  const canvas = document.querySelectorAll('.card')[card].querySelector('.stage canvas');
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const opacity = (y, x) => pixels[4 * (Math.floor(y) * canvas.width + Math.floor(x)) + 3];
  const side = (count, full) => Array.from({ length: count }, (_, i) => ((i + 0.5) * full) / count);
  return side(rows, canvas.height).map((y) => side(columns, canvas.width).map((x) => opacity(y, x)));
}"""


class BrowserPage:
    """A Playwright page, with helpers for cards and heatmaps; other attributes are those of Playwright's page."""

    def __init__(self, tab):
        self.tab = tab

    def __getattr__(self, name):
        return getattr(self.tab, name)

    def word(self, index, card=0):
        return self.locator(".card").nth(card).locator(".word").nth(index)

    def opacities(self, card=0, grid=(3, 5)):
        """Opacities (h, w) of an overlay at the cell centers, from 0 to 255."""
        return np.array(self.evaluate(_OPACITIES, [card, *grid]), float)

    def drawn_map(self, card=0, grid=(3, 5)):
        """(h, w) shares of the color scale in [0, 1] at the cell centers, read back from the pixels."""
        max_opacity = int(self.input_value("#opacity")) / 100
        if self.locator(".card").nth(card).locator(".word.shown.function").count():
            max_opacity *= FUNCTION_STRENGTH
        return (self.opacities(card, grid) / 255 / max_opacity) ** 2  # opacity is proportional to the square root

    def photo_digest(self, card=0):
        """A digest of the displayed pixels of a photograph with its overlay."""
        return hashlib.sha256(self.locator(".stage").nth(card).screenshot()).hexdigest()

    def choose(self, name, value):
        """Sets a select to a value, or the slider of a layer or head to an index; None means all."""
        if name in ("layer", "head"):
            self.locator(f"#{name}").fill(str(0 if value is None else value + 1))
        else:
            self.select_option(f"#{name}", value)


@pytest.fixture(scope="package")
def gallery(make_maps):
    return [
        make_maps(),
        make_maps(("a", "t", "shirt", END_TOKEN), "b.jpg", 1, language="en").merged(["t-shirt"]),
        make_maps(image="c.jpg", seed=2),
    ]


@pytest.fixture(scope="package")
def address(gallery, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render_page(gallery, language="en"))
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(browser):
    """One browser tab for the tests of a module; it records console messages, errors and requests."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce", offline=True)
    tab = context.new_page()
    tab.logged_texts, tab.requested_urls = [], []
    tab.on("console", lambda message: tab.logged_texts.append(message.text))
    tab.on("pageerror", lambda error: tab.logged_texts.append(str(error)))
    tab.on("request", lambda request: tab.requested_urls.append(request.url))
    yield tab
    context.close()


@pytest.fixture
def page(tab, address):
    """The page, newly opened; fails the test if there were messages, errors or requests."""
    tab.logged_texts.clear()
    tab.requested_urls.clear()
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(reduced_motion="reduce")
    tab.mouse.move(0, 0)
    tab.goto(address)
    tab.evaluate("document.getElementById('settings').open = true")
    yield BrowserPage(tab)
    assert tab.logged_texts == []
    assert [url for url in tab.requested_urls if not url.startswith("data:")] == [address]
