"""The live page in Chromium: upload, words, other captions, languages, downloads. Skipped without a browser."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from caption_tx.serve.models import ServedBundle

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
OPACITY = """element => {
  const canvas = element.querySelector('.stage canvas'), copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext('2d');
  context.drawImage(canvas, 0, 0);
  return Math.max(...context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 === 3));
}"""


@pytest.fixture
def open_page(browser, address, service):
    """Opens the page in a browser of a language; fails the test for console messages and requests elsewhere."""
    [first, *_] = service.bundles.values()
    service.bundles["second"] = ServedBundle("second", first.captioner)
    problems, contexts = [], []

    def open_page(locale="en-US", size=DESKTOP, at=address):
        context = browser.new_context(locale=locale, viewport=size, reduced_motion="reduce", accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: "status of 4" in message.text or problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request", lambda request: request.url.startswith((at, "data:", "blob:")) or problems.append(request.url)
        )
        page.goto(at)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def upload(page, picture, *names):
    files = [{"name": name, "mimeType": "image/png", "buffer": picture(seed)} for seed, name in enumerate(names)]
    page.set_input_files("#files", files)
    page.locator(".card").nth(len(names) - 1).wait_for()


def settled(page, photo=0):
    page.locator(".photo").nth(photo).and_(page.locator(":not([aria-busy])")).wait_for()


def test_upload_read_and_click_a_word(open_page, picture, service):
    page = open_page()
    assert page.title() == "Caption photographs" and page.locator("html").get_attribute("lang") == "en"
    upload(page, picture, "a.png", "b.png")
    names = page.locator(".card h2").all_inner_texts()
    assert sorted(names) == ["a.png", "b.png"] and names == ["a.png", "b.png"]
    [bundle, *_] = service.bundles.values()
    for index in range(2):
        card = page.locator(".card").nth(index)
        words = card.locator(".word .text").all_inner_texts()
        assert words[:-1] == list(bundle.captioner.caption(picture(index)).words) and words[-1] == "(end)"
    card = page.locator(".card").first
    assert card.evaluate(OPACITY) == 0
    card.locator(".word").nth(1).click()
    assert card.evaluate(OPACITY) > 50 and card.locator(".word").nth(1).get_attribute("aria-pressed") == "true"
    assert "Most attention" in card.locator(".status").inner_text()
    assert page.locator(".card").nth(1).evaluate(OPACITY) == 0
    page.locator("#settings summary").click()
    page.locator("#opacity").fill("10")
    assert card.evaluate(OPACITY) < 30
    page.locator("#head").fill("2")
    assert page.inner_text("#head-value") == "head 1"
    page.locator(".tools summary").first.click()
    page.get_by_role("button", name="Remove a.png").click()
    assert page.locator(".card h2").all_inner_texts() == ["b.png"]
    page.locator("body").click(position={"x": 2, "y": 2})
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")  # the words of the remaining photograph
    assert page.locator(".card .word").first.evaluate("word => word === document.activeElement")


def test_other_captions_samples_and_a_typed_one(open_page, picture, service):
    page = open_page()
    upload(page, picture, "a.png")
    page.locator(".tools summary").click()
    captions = page.locator(".captions button")
    assert captions.count() == 1 and captions.first.get_attribute("aria-pressed") == "true"
    page.get_by_label("Temperature").fill("1.5")
    page.get_by_label("Seed").fill("3")
    page.get_by_role("button", name="Sample again").click()
    captions.nth(1).wait_for()
    [bundle, *_] = service.bundles.values()
    expected = bundle.captioner.n_best(picture(0), temperature=1.5, samples=5, n_best=5, seed=3)
    assert [text.split("\n")[0].split(" (")[0] for text in captions.all_inner_texts()] == [
        str(item) for item in expected
    ]
    assert page.get_by_label("Seed").input_value() == "4"
    captions.nth(1).click()
    page.locator(".captions li:nth-child(2) button[aria-pressed=true]").wait_for()
    assert page.locator(".word .text").all_inner_texts()[: len(expected[1].words)] == list(expected[1].words)
    field = page.get_by_label("Caption of a.png to explain")
    field.fill("a b zzz")
    page.keyboard.press("Enter")
    page.locator(".word .mark").wait_for()
    assert page.locator(".word .text").all_inner_texts() == ["a", "b", "zzz", "(end)"]
    assert page.locator(".captions button[aria-pressed=true]").count() == 0
    maps = bundle.captioner.explain(picture(0), "a b zzz")
    share = 100 * np.exp(maps.log_probabilities[0])
    assert page.locator(".word .p").first.inner_text().startswith("<1%" if share < 1 else f"{share:.0f}%")
    assert page.inner_text("#message") == "a.png: a b zzz"


def test_downloads(open_page, picture):
    page = open_page()
    upload(page, picture, "a.png")
    page.locator(".tools summary").click()
    contents = {}
    for name, label in (("a.html", "Web page"), ("a.png", "Picture"), ("a.json", "Data (JSON)")):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        assert download.value.suggested_filename == name
        contents[name] = download.value.path().read_bytes()
    assert b'class="card"' in contents["a.html"] and b"Content-Security-Policy" in contents["a.html"]
    assert Image.open(io.BytesIO(contents["a.png"])).format == "PNG"
    [image] = json.loads(contents["a.json"])["images"]
    assert image["maps"]["axes"][0] == "layer"


def test_chinese_on_a_phone_and_the_other_language(open_page, picture, latin_words):
    page = open_page("zh-CN", PHONE)
    assert page.title() == "给照片写描述" and page.locator("html").get_attribute("lang") == "zh-Hans"
    upload(page, picture, "a.png")
    page.locator(".tools summary").click()
    page.locator(".typed input").fill("c d")
    page.locator(".typed button").click()
    page.locator(".word .text", has_text="c").wait_for()
    known = {"HTTP", "JSON", "English", "Esc", "png", "rollout", "tiny", "second"}
    assert {word for word in latin_words(page) if len(word) > 1} <= known
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = "[...document.querySelectorAll('button, .button')].filter((e) => e.offsetParent && e.offsetHeight < 44)"
    assert page.evaluate(f"{small}.map((element) => element.textContent)") == []
    assert page.evaluate("document.fonts.check('16px \"caption words\"', '描述')")
    page.get_by_role("button", name="English").click()
    page.locator(".word .text", has_text="(end)").wait_for()
    page.locator(".word .text", has_text="c").wait_for()
    assert page.title() == "Caption photographs" and page.url.endswith("?language=en")
    assert page.locator(".word .text").all_inner_texts() == ["c", "d", "(end)"]  # the typed caption is still there
    assert page.locator(".typed input").input_value() == "c d" and page.locator(".tools").get_attribute("open") == ""
    page.locator("#settings summary").click()
    page.locator("#opacity").fill("30")  # the new controls work
    assert page.inner_text("#opacity-value") == "30%"


def test_examples_drop_paste_and_another_model(open_page, picture):
    page = open_page()
    page.get_by_role("button", name="Example 1").click()
    page.locator(".card").wait_for()
    give = """([kind, name, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
      const event = kind === 'drop' ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent('paste', { clipboardData: data, bubbles: true });
      document.body.dispatchEvent(event);
    }"""
    for index, kind in enumerate(("drop", "paste"), 1):
        page.evaluate(give, [kind, f"{kind}.png", list(picture(index))])
        page.locator(".card").nth(index).wait_for()
    assert page.locator(".card h2").all_inner_texts() == ["scene-1.png", "drop.png", "paste.png"]
    with page.expect_response(lambda response: response.url.endswith("/v1/explanations")) as response:
        page.get_by_label("Model").select_option("second")
    assert response.value.json()["bundle"] == "second"
    page.locator(".card").nth(2).wait_for()


def test_problems_are_shown(open_page, service, run_server, picture, monkeypatch):
    page = open_page()
    big = {"name": "big.png", "mimeType": "image/png", "buffer": bytes(2**20 + 9)}
    page.set_input_files("#files", [big])
    assert page.locator(".problem").inner_text() == "big.png: the file has 1.0 MB; the limit is 1.0 MB."
    assert page.locator("#message").get_attribute("role") == "status"
    page.set_input_files("#files", [{"name": "bad.png", "mimeType": "image/png", "buffer": b"no image"}])
    note = page.locator(".problem", has_text="bad.png")
    assert note.inner_text() == "bad.png cannot be read: it is not an image of a known format."
    monkeypatch.setattr(service, "options", replace(service.options, token="correct horse battery"))
    with run_server(service) as address:
        page = open_page(at=address)
        page.get_by_role("button", name="Example 1").click()
        page.get_by_role("dialog", name="Token").wait_for()
        page.get_by_label("This server requires a token.").fill("correct horse battery")
        page.keyboard.press("Enter")
        page.locator(".card").wait_for()
        page.context.close()


@pytest.mark.parametrize("language, text", [("en", "saw only the first."), ("zh-CN", "模型只看到第一页（帧）。")])
def test_pages_and_frames_are_noted_under_the_picture(open_page, picture, language, text):
    page = open_page(language)
    frames, names = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")], ("scan.tif", "film.gif")
    for name in names:
        file = io.BytesIO()
        frames[0].save(file, {"tif": "TIFF", "gif": "GIF"}[name[-3:]], save_all=True, append_images=frames[1:])
        page.set_input_files("#files", [{"name": name, "mimeType": "image/*", "buffer": file.getvalue()}])
        page.locator(".card").nth(names.index(name)).wait_for()
    assert all(note.endswith(text) for note in page.locator(".note").all_inner_texts())
    assert page.locator(".note").count() == 2
    upload(page, picture, "a.png")
    page.locator(".card").nth(2).wait_for()
    assert page.locator(".note").count() == 2


def test_problems_are_chinese_on_the_chinese_page(open_page, picture, latin_words):
    page = open_page("zh-CN")
    page.set_input_files("#files", [{"name": "坏.png", "mimeType": "image/png", "buffer": b"no image"}])
    note = page.locator(".problem", has_text="坏.png")
    assert note.inner_text().startswith("坏.png：无法读取：") and note.inner_text() == page.inner_text("#message")
    proxy = {"status": 413, "content_type": "text/html", "body": "<h1>Request Entity Too Large</h1>"}
    page.route("**/v1/explanations", lambda route: route.fulfill(**proxy))
    page.set_input_files("#files", [{"name": "大.png", "mimeType": "image/png", "buffer": picture()}])
    page.locator(".problem", has_text="大.png：服务器返回了状态码 413。").wait_for()
    page.unroute("**/v1/explanations")
    answer = {"error": "There is no bundle 'x' here; there are tiny.", "code": "too_many_pixels"}
    page.route("**/v1/explanations", lambda route: route.fulfill(status=422, json=answer))
    page.set_input_files("#files", [{"name": "长.png", "mimeType": "image/png", "buffer": picture()}])
    page.locator(".problem", has_text="长.png：图片的像素太多，上限为 50,000,000 像素。").wait_for()
    assert not {"cannot", "too", "large", "no"} & set(latin_words(page))
