"""The page in Chromium: pixels, settings, layout and security. Skipped without a browser."""

import numpy as np
import pytest

from caption_tx.config import DEFAULT_POOL
from caption_tx.inference.drawing.spline import spread
from caption_tx.inference.page.render import render_page


def test_hovering_over_a_word_changes_the_pixels(page):
    seen = [page.photo_digest()]
    assert page.drawn_map().max() == 0
    for index in range(4):
        page.word(index).hover()
        assert page.drawn_map().max() > 0.05
        seen.append(page.photo_digest())
    assert len(set(seen)) == 5
    assert page.drawn_map(1).max() == 0  # other cards do not change
    page.mouse.move(2, 2)
    assert page.photo_digest() == seen[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"pool": "mean"},
        {"pool": "max"},
        {"pool": "spread"},
        {"pool": "rollout"},
        {"pool": "posterior"},
        {"layer": 1, "pool": "posterior"},
        {"layer": 0},
        {"head": 2},
        {"layer": 1, "head": 0},
        {"layer": 0, "pool": "rollout"},
        {"head": 1, "pool": "spread"},
        {"scale": "own"},
    ],
    ids=str,
)
def test_the_script_computes_the_same_maps_as_python(page, gallery, choice):
    for name, value in choice.items():
        page.choose(name, value)
    selection = {name: choice[name] for name in ("layer", "head") if name in choice}
    for card, maps in enumerate(gallery[:2]):
        expected = spread(maps.pooled(**selection, pool=choice.get("pool", DEFAULT_POOL)), 7)
        for index in range(len(maps.shown)):
            page.word(index, card).hover()
            top = expected[index].max() if choice.get("scale") == "own" else expected.max()
            np.testing.assert_allclose(page.drawn_map(card), expected[index, 3::7, 3::7] / top, atol=0.03)


def test_layer_head_and_opacity_change_the_overlay_of_the_shown_word(page):
    page.word(0).click()
    seen = [page.photo_digest()]
    for name, value in (("layer", 1), ("head", 2), ("layer", None), ("pool", "max")):
        page.choose(name, value)
        seen.append(page.photo_digest())
    for value in (30, 100):
        page.locator("#opacity").fill(str(value))
        assert page.inner_text("#opacity-value") == f"{value}%"
        seen.append(page.photo_digest())
    assert len(set(seen)) == len(seen)
    page.locator("#opacity").fill("0")
    assert page.opacities().max() == 0


def test_the_overlay_is_smooth(page):
    page.word(1).hover()
    shares = page.drawn_map(grid=(67, 112))
    steps = np.abs(np.diff(np.sqrt(shares), axis=1))  # opacity
    assert steps.max() < 0.12
    assert len(np.unique(shares[len(shares) // 6].round(3))) > 20


def test_a_map_fades_in_unless_motion_is_reduced(page):
    page.emulate_media(reduced_motion="no-preference")
    page.evaluate(
        """() => { window.seen = [];
        const canvas = document.querySelector('.stage canvas');
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext('2d', { willReadFrequently: true });
        const look = () => {
          context.clearRect(0, 0, canvas.width, canvas.height);
          context.drawImage(canvas, 0, 0);
          const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
          window.seen.push(Math.max(...pixels.filter((_, i) => i % 4 === 3 && i % 404 === 3)));
          if (window.seen.length < 300) requestAnimationFrame(look);
        };
        look(); }"""
    )
    page.word(0).hover()
    page.wait_for_function(
        "() => window.seen.length > 5 && window.seen.at(-1) === window.seen.at(-3) && window.seen.at(-1) > 50"
    )
    assert page.evaluate("new Set(window.seen).size") > 2


def test_probabilities_are_below_the_words(page):
    assert page.word(0).inner_text().split() == ["一只", "5%", "\u22123.00"]
    assert page.word(1, 1).inner_text().split()[0] == "t-shirt"
    assert page.word(1).locator(".mark").inner_text() == "?"


def test_play_goes_through_the_words(page):
    page.clock.install()
    button = page.locator(".card").first.locator(".play")
    button.click()
    shown = []
    for _ in range(4):
        shown.append(page.locator(".word.shown .text").all_inner_texts())
        page.clock.run_for(1100)
    assert shown == [["一只"], ["龘"], ["狗"], ["(end)"]]
    assert page.drawn_map().max() == 0 and "Play" in button.inner_text()
    button.click()
    page.clock.run_for(300)
    assert "Pause" in button.inner_text()
    button.click()
    page.clock.run_for(5000)
    assert page.locator(".word.shown").count() == 0


def test_settings_without_effect_are_disabled(page):
    maximum = page.locator(".maximum").first
    assert page.locator("#head").is_enabled() and "Maps are sharpened" in maximum.inner_text()
    page.choose("head", 2)
    page.choose("pool", "rollout")
    assert page.locator("#head").is_disabled()
    assert (page.input_value("#head"), page.inner_text("#head-value")) == ("0", "all heads")
    page.choose("layer", 0)
    assert page.inner_text("#layer-value") == "up to layer 0" and "sharpened" not in maximum.inner_text()
    page.choose("layer", None)
    page.choose("pool", "sharp")
    assert (page.input_value("#head"), page.inner_text("#head-value")) == ("3", "head 2")
    page.choose("pool", "posterior")
    assert "probability that each cell alone gives the word" in maximum.inner_text()
    page.choose("pool", "sharp")
    page.choose("head", None)
    page.choose("layer", 0)
    assert page.locator("#pool").is_enabled()
    assert "Maps are sharpened" in maximum.inner_text()
    page.choose("head", 0)
    assert page.locator("#pool").is_disabled() and "sharpened" not in maximum.inner_text()


def test_chinese_glyphs_come_from_the_embedded_font(page):
    """Compares 龘 and 狗 with a blank character in the embedded font."""
    page.evaluate("document.fonts.ready")
    drawn = page.evaluate(
        """async () => { await document.fonts.load('40px "caption words"', '龘狗');
        return ['龘', '狗', ' '].map((letter) => { const canvas = document.createElement('canvas');
        canvas.width = canvas.height = 48; const context = canvas.getContext('2d');
        context.font = '40px "caption words"'; context.fillText(letter, 2, 40);
        return [...context.getImageData(0, 0, 48, 48).data].filter((_, i) => i % 4 === 3); }); }"""
    )
    dragon, dog, blank = (np.array(letter) for letter in drawn)
    assert blank.max() == 0
    assert (dragon > 128).sum() > 300 and (dog > 128).sum() > 150
    assert ((dragon > 128) != (dog > 128)).sum() > 150


@pytest.mark.parametrize(("width", "columns"), [(1280, 2), (400, 1)])
def test_the_layout_fits_wide_and_narrow_screens(page, width, columns):
    page.set_viewport_size({"width": width, "height": 900})
    page.reload()
    page.requested_urls.pop()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    lefts = {round(page.locator(".card").nth(card).bounding_box()["x"]) for card in range(3)}
    assert len(lefts) == columns
    for card in range(3):
        stage, canvas = (
            page.locator(".card").nth(card).locator(part).bounding_box() for part in (".stage img", "canvas >> nth=0")
        )
        assert stage == pytest.approx(canvas, abs=1)  # the overlay covers the photograph exactly
    # With the settings closed, the words of the first photograph are visible without scrolling.
    assert not page.locator("#settings").evaluate("details => details.open")
    if width == 1280:
        box = page.word(0).bounding_box()
        assert box["y"] + box["height"] < 900


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 600), (844, 390), (390, 844)])
def test_photographs_keep_their_shape_and_leave_room_for_the_words(page, make_maps, tmp_path, width, height):
    shapes = [(640, 240), (213, 640), (60, 90)]
    path = tmp_path / "shapes.html"
    path.write_text(render_page([make_maps(picture=np.zeros((*shape, 3), np.uint8)) for shape in shapes]))
    page.set_viewport_size({"width": width, "height": height})
    page.goto(path.as_uri())
    for card, shape in enumerate(shapes):
        photo, canvas, scale = (
            page.locator(".card").nth(card).locator(part).bounding_box()
            for part in (".stage img", ".stage canvas", ".scale")
        )
        assert photo["width"] / photo["height"] == pytest.approx(shape[1] / shape[0], rel=0.01)
        assert photo == pytest.approx(canvas, abs=1)
        max_height = max(0.5 * height, 200)
        assert photo["height"] <= max_height + 1
        assert photo["width"] == pytest.approx(scale["width"], abs=1) or photo["height"] == pytest.approx(
            max_height, abs=1
        )
    page.word(0).focus()
    for card in (1, 2):  # the focused word and its photograph are visible
        page.keyboard.press("ArrowDown")
        button = page.word(0, card).bounding_box()
        assert page.locator(".stage").nth(card).bounding_box()["y"] >= -1
        assert button["y"] + button["height"] <= height + 1
    page.requested_urls[:] = page.requested_urls[:1]


def test_the_security_policy_blocks_all_requests(page):
    """The policy blocks requests of any script."""
    blocked = page.evaluate(
        """async () => { const results = [];
        addEventListener('securitypolicyviolation', (event) => results.push(event.effectiveDirective));
        try { await fetch('https://example.org/'); } catch (error) { results.push('fetch'); }
        const image = new Image(); image.src = 'https://example.org/a.png';
        await new Promise((done) => { image.onerror = done; });
        return results; }"""
    )
    assert "fetch" in blocked and "connect-src" in blocked and "img-src" in blocked
    page.logged_texts.clear()  # the console reports the blocked requests
    page.requested_urls[:] = page.requested_urls[:1]


def test_light_and_dark(page):
    def paper(scheme):
        page.emulate_media(color_scheme=scheme)
        return page.evaluate(r"getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)")

    assert min(paper("light")) > 200 > 60 > max(paper("dark"))


def test_the_maps_of_function_words_are_faint(page):
    page.select_option("#scale", "own")
    opacity = int(page.input_value("#opacity")) / 100
    for word, strength in ((0, 0.4), (2, 1)):
        page.word(word).hover()
        assert page.opacities(grid=(30, 50)).max() / 255 == pytest.approx(opacity * strength, abs=0.03)
    page.word(0).focus()
    assert "names nothing visible" in page.locator(".status").first.inner_text()
