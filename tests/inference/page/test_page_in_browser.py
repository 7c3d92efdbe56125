"""The page in Chromium: mouse, keyboard, screen readers and pixels. Skipped without a browser."""

import hashlib
import shutil

import numpy as np
import pytest

from caption_tx.inference.attention.health import measure_health
from caption_tx.inference.attention.words import END_TOKEN
from caption_tx.inference.page.render import render_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPACITY = """([card, rows, columns]) => {
  const canvas = document.querySelectorAll('.card')[card].querySelector('.stage canvas');
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext('2d', { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const opacity = (y, x) => pixels[4 * (Math.floor(y) * canvas.width + Math.floor(x)) + 3];
  const side = (count, full) => Array.from({ length: count }, (_, i) => ((i + 0.5) * full) / count);
  return side(rows, canvas.height).map((y) => side(columns, canvas.width).map((x) => opacity(y, x)));
}"""
"""Opacity of an overlay at the cell centers of a grid; it is proportional to the square root of the attention."""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need Playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium is installed (on Debian and Ubuntu: apt-get install chromium)")
    with (
        playwright.sync_playwright() as running,
        running.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def gallery(make_maps):
    return [
        make_maps(),
        make_maps(("a", "t", "shirt", END_TOKEN), "b.jpg", 1, language="en").merged(["t-shirt"]),
        make_maps(image="c.jpg", seed=2),
    ]


@pytest.fixture(scope="module")
def address(gallery, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render_page(gallery, language="en"))
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(browser):
    """One browser tab for all tests; it records console messages, errors and requests."""
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
    yield tab
    assert tab.logged_texts == []
    assert [url for url in tab.requested_urls if not url.startswith("data:")] == [address]


def drawn_map(page, card=0, grid=(3, 5)):
    """(h, w) shares of the color scale in [0, 1] at the cell centers, read back from the pixels."""
    opacity = int(page.input_value("#opacity")) / 100
    return (np.array(page.evaluate(OPACITY, [card, *grid]), float) / 255 / opacity) ** 2


def screenshot(page, card=0):
    """A digest of a photograph with its overlay as displayed."""
    return hashlib.sha256(page.locator(".stage").nth(card).screenshot()).hexdigest()


def word(page, index, card=0):
    return page.locator(".card").nth(card).locator(".word").nth(index)


def choose(page, name, value):
    """Sets a select to a value, or the slider of a layer or head to an index; None means all."""
    if name in ("layer", "head"):
        page.locator(f"#{name}").fill(str(0 if value is None else value + 1))
    else:
        page.select_option(f"#{name}", value)


def test_hovering_over_a_word_changes_the_pixels(page):
    seen = [screenshot(page)]
    assert drawn_map(page).max() == 0
    for index in range(4):
        word(page, index).hover()
        assert drawn_map(page).max() > 0.05
        seen.append(screenshot(page))
    assert len(set(seen)) == 5
    assert drawn_map(page, 1).max() == 0  # other cards do not change
    page.mouse.move(2, 2)
    assert screenshot(page) == seen[0]


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"pool": "max"},
        {"pool": "spread"},
        {"pool": "rollout"},
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
        choose(page, name, value)
    selection = {name: choice[name] for name in ("layer", "head") if name in choice}
    for card, maps in enumerate(gallery[:2]):
        expected = maps.pooled(**selection, pool=choice.get("pool", "mean"))
        for index in range(len(maps.shown)):
            word(page, index, card).hover()
            top = expected[index].max() if choice.get("scale") == "own" else expected.max()
            np.testing.assert_allclose(drawn_map(page, card), expected[index] / top, atol=0.03)


def test_layer_head_and_opacity_change_the_overlay_of_the_shown_word(page):
    word(page, 0).click()
    seen = [screenshot(page)]
    for name, value in (("layer", 1), ("head", 2), ("layer", None), ("pool", "max")):
        choose(page, name, value)
        seen.append(screenshot(page))
    for value in (30, 100):
        page.locator("#opacity").fill(str(value))
        assert page.inner_text("#opacity-value") == f"{value}%"
        seen.append(screenshot(page))
    assert len(set(seen)) == len(seen)
    page.locator("#opacity").fill("0")
    assert np.max(page.evaluate(OPACITY, [0, 3, 5])) == 0


def test_sliders_work_by_keyboard_and_announce_their_value(page):
    word(page, 0).click()
    slider, announced = page.locator("#layer"), []
    slider.focus()
    seen = [drawn_map(page)]
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Home"):
        page.keyboard.press(key)
        announced.append(slider.get_attribute("aria-valuetext"))
        assert page.inner_text("#layer-value") == announced[-1]
        seen.append(drawn_map(page))
    assert announced == ["layer 0", "layer 1", "layer 1", "all layers"]  # there are only two layers
    assert min(np.abs(seen[0] - seen[1]).max(), np.abs(seen[1] - seen[2]).max()) > 0.05
    np.testing.assert_array_equal(seen[0], seen[-1])
    page.locator("#head").focus()
    page.keyboard.press("End")
    assert page.locator("#head").get_attribute("aria-valuetext") == page.inner_text("#head-value") == "head 2"
    assert np.abs(drawn_map(page) - seen[0]).max() > 0.05


def test_the_overlay_is_smooth(page):
    word(page, 1).hover()
    shares = drawn_map(page, grid=(67, 112))
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
    word(page, 0).hover()
    page.wait_for_function(
        "() => window.seen.length > 5 && window.seen.at(-1) === window.seen.at(-3) && window.seen.at(-1) > 50"
    )
    assert page.evaluate("new Set(window.seen).size") > 2


def test_by_keyboard_alone(page):
    page.keyboard.press("ArrowRight")  # selects the first word
    assert word(page, 0).evaluate("button => button === document.activeElement")
    seen = [drawn_map(page)]
    for key, index in (("ArrowRight", 1), ("End", 3), ("ArrowLeft", 2), ("Home", 0)):
        page.keyboard.press(key)
        assert word(page, index).evaluate("button => button === document.activeElement")
        seen.append(drawn_map(page))
    np.testing.assert_array_equal(seen[0], seen[-1])
    assert np.abs(seen[1] - seen[2]).max() > 0.05
    page.keyboard.press("ArrowDown")
    assert word(page, 0, card=1).evaluate("button => button === document.activeElement")
    assert drawn_map(page).max() == 0 < drawn_map(page, 1).max()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert word(page, 1, 1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")  # leaves the words; the pinned word stays shown
    assert drawn_map(page, 1).max() > 0
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    assert word(page, 1, 1).get_attribute("aria-pressed") == "false"
    assert drawn_map(page, 1).max() == 0
    # Each card has two tab stops: its play button and its words.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert word(page, 0, 2).evaluate("button => button === document.activeElement")


def test_accessible_names_and_status(page, gallery):
    words = page.get_by_role("toolbar", name="Words of the caption of dog.jpg").get_by_role("button")
    assert words.count() == 4
    assert page.get_by_role("img", name="Image dog.jpg").count() == 1
    status = page.locator(".card").first.locator(".status")
    assert status.get_attribute("aria-live") == "polite"
    words.nth(1).focus()
    assert "not in the model's vocabulary" in status.inner_text()
    assert status.locator(".text").get_attribute("lang") == "zh-Hans"
    for index in range(4):
        words.nth(index).focus()
        map_ = gallery[0].pooled()[index]
        # Each of the 3 rows is one third; columns 2 and 4 of the 5 each overlap two thirds.
        columns = np.array([[1, 2 / 3, 0, 0, 0], [0, 1 / 3, 1, 1 / 3, 0], [0, 0, 0, 2 / 3, 1]])
        shares = map_ @ columns.T
        row, column = np.unravel_index(shares.argmax(), shares.shape)
        region = f"{('top', 'center', 'bottom')[row]} {('left', 'center', 'right')[column]}"
        region = "center" if region == "center center" else region
        text = status.inner_text()
        assert f"Most attention: {region}, with " in text
        share = float(text.split("with ")[1].split("%")[0])
        assert share == pytest.approx(100 * shares.max(), abs=0.6)
    for name in ("Opacity", "Layer", "Head"):
        assert page.get_by_role("slider", name=name, exact=True).count() == 1
    for name in ("Color scale", "Pooling"):
        assert page.get_by_role("combobox", name=name, exact=True).count() == 1
    assert page.locator("#opacity").get_attribute("aria-valuetext") == "72%"


LATIN = """() => {
  const texts = [document.title], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ALL);
  for (let node = walk.currentNode; node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE && !node.parentElement.closest('script, noscript, [lang=en]'))
      texts.push(node.data);
    for (const name of ['aria-label', 'aria-valuetext', 'alt', 'title', 'placeholder'])
      if (node.nodeType === Node.ELEMENT_NODE && node.hasAttribute(name)) texts.push(node.getAttribute(name));
  }
  return [...new Set(texts.join(' ').match(/[A-Za-z]+/g))].sort();
}"""
"""Words in Latin letters in all visible and accessible text."""


def test_visible_and_accessible_text_of_a_chinese_page_is_chinese(page, make_maps, tmp_path):
    scores = make_maps().scores.copy()
    scores[1, 2] = scores[1, 2, :1]
    maps, other = make_maps(scores=scores), make_maps(("狗", "跑", END_TOKEN), "b.jpg", 1)
    path = tmp_path / "zh.html"
    path.write_text(render_page([maps, other], health=measure_health([maps]), problems=["c.jpg cannot be read."]))
    page.goto(path.as_uri())
    assert page.title() == "模型看了图中哪里：2 张图片"
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    first_fonts = page.evaluate(
        """[...document.querySelectorAll('h1, h2, p, summary, label, button')]
        .filter((element) => /[\u4e00-\u9fff]/.test(element.textContent))
        .map((element) => getComputedStyle(element).fontFamily.split(',')[0])"""
    )
    assert len(first_fonts) > 10
    assert set(first_fonts) == {'"caption words"'}  # else boxes appear without a Chinese font
    for details in ("settings", "warnings"):
        page.evaluate(f"document.getElementById('{details}').open = true")
    assert page.inner_text("#warnings summary") == "1 条警告：部分热力图不可信"
    assert "第 1 层 2 号头对每个词都看同一个地方（100%" in page.inner_text("#warnings li")
    words = page.get_by_role("toolbar", name="dog.jpg 的描述中的词").get_by_role("button")
    assert words.all_inner_texts()[-1].startswith("（结束）")
    assert page.get_by_role("img", name="图片 dog.jpg").count() == 1
    words.nth(1).focus()
    status = page.locator(".status").first.inner_text()
    share = round(100 * np.exp(maps.log_probabilities[1]))
    assert status.startswith(f"龘：置信度 {share}%。这个词不在模型的词表中，按未知词处理。注意力最集中的区域：")
    for name in ("不透明度", "层", "注意力头"):
        assert page.get_by_role("slider", name=name, exact=True).count() == 1
    layer = page.get_by_role("slider", name="层", exact=True)
    layer.fill("2")
    assert layer.get_attribute("aria-valuetext") == page.inner_text("#layer-value") == "第 1 层"
    page.get_by_role("combobox", name="合并方式").select_option(label="逐层累积（rollout）")
    assert layer.get_attribute("aria-valuetext") == "到第 1 层为止"
    page.get_by_role("button", name="逐词播放 dog.jpg 的描述").click()
    assert page.get_by_role("button", name="暂停播放 dog.jpg 的描述").inner_text().endswith("暂停")
    assert page.evaluate(LATIN) == ["Esc", "b", "dog", "jpg", "rollout"]
    page.requested_urls[:] = page.requested_urls[:1]


def test_probabilities_are_below_the_words(page):
    assert word(page, 0).inner_text().split() == ["一只", "5%", "\u22123.00"]
    assert word(page, 1, 1).inner_text().split()[0] == "t-shirt"
    assert word(page, 1).locator(".mark").inner_text() == "?"


def test_play_goes_through_the_words(page):
    page.clock.install()
    button = page.locator(".card").first.locator(".play")
    button.click()
    shown = []
    for _ in range(4):
        shown.append(page.locator(".word.shown .text").all_inner_texts())
        page.clock.run_for(1100)
    assert shown == [["一只"], ["龘"], ["狗"], ["(end)"]]
    assert drawn_map(page).max() == 0 and "Play" in button.inner_text()
    button.click()
    page.clock.run_for(300)
    assert "Pause" in button.inner_text()
    button.click()
    page.clock.run_for(5000)
    assert page.locator(".word.shown").count() == 0


def test_settings_without_effect_are_disabled(page):
    assert page.locator("#head").is_enabled()
    choose(page, "head", 2)
    choose(page, "pool", "rollout")
    assert page.locator("#head").is_disabled()
    assert (page.input_value("#head"), page.inner_text("#head-value")) == ("0", "all heads")
    choose(page, "layer", 0)
    assert page.inner_text("#layer-value") == "up to layer 0"
    choose(page, "layer", None)
    choose(page, "pool", "mean")
    assert (page.input_value("#head"), page.inner_text("#head-value")) == ("3", "head 2")
    choose(page, "head", None)
    choose(page, "layer", 0)
    assert page.locator("#pool").is_enabled()
    choose(page, "head", 0)
    assert page.locator("#pool").is_disabled()


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
        box = word(page, 0).bounding_box()
        assert box["y"] + box["height"] < 900


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
    word(page, 0).focus()
    for card in (1, 2):  # the focused word and its photograph are visible
        page.keyboard.press("ArrowDown")
        button = word(page, 0, card).bounding_box()
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
