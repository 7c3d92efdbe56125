"""The HTML gallery of an evaluation, also in Chromium if it is installed."""

import base64
import hashlib
import re

import pandas as pd
import pytest

from caption_tx.config import EvaluationOptions
from caption_tx.data.images.sources import open_images
from caption_tx.evaluation.evaluate import score_predictions
from caption_tx.evaluation.gallery import THUMBNAIL_SIZE, gallery_page, worst_first

CAPTIONS = {
    "000.png": ("一只<b>狗</b>在奔跑", "一只狗在奔跑。", -1.5),
    "001.png": ("一个女孩在玩球", "男人骑自行车。", -0.25),
    "002.png": ("一个女孩在吃饭", "女孩在吃饭。", None),
    "003.png": ("", "海边的人。", -9.0),
}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    rows = [
        {"image": name, "caption": caption, "finished": name != "001.png"}
        | ({"log_probability": log_probability} if log_probability else {})
        for name, (caption, _, log_probability) in CAPTIONS.items()
    ]
    pd.DataFrame(rows).to_json(folder / "x.jsonl", orient="records", lines=True, force_ascii=False)
    table = pd.DataFrame({"image": list(CAPTIONS), "caption": [reference for _, reference, _ in CAPTIONS.values()]})
    table = table.assign(split="val", origin="human")
    return score_predictions(folder / "x.jsonl", table, "zh", EvaluationOptions(split="val"))


@pytest.fixture(scope="module")
def images(tmp_path_factory, write_pictures):
    folder = tmp_path_factory.mktemp("images")
    write_pictures(folder, 3, size=(700, 500))
    return open_images(str(folder))


@pytest.fixture(scope="module")
def page(evaluation, images):
    return gallery_page(evaluation, images)


def test_worst_images_come_first_and_the_number_is_limited(evaluation, images):
    order = worst_first(evaluation)
    ciders = [evaluation.scores.by_image[name]["cider"] for name in order]
    assert ciders == sorted(ciders) and ciders[0] < ciders[-1]
    assert order[:2] == ["001.png", "003.png"]  # all scores are 0, so sorted by name
    page = gallery_page(evaluation, images, limit=2)
    assert re.findall(r'data-image="([^"]+)"', page) == order[:2]
    assert "The 2 worst of 4 images by CIDEr." in page


def test_page_escapes_text_and_reports_missing_images(page, evaluation):
    assert "一只&lt;b&gt;狗&lt;/b&gt;在奔跑" in page and "<b>" not in page
    assert page.count("data:image/jpeg;base64,") == 3
    assert "003.png" in page and "No such file" in page
    assert not re.search(r"https?://", page)
    assert "<img" not in gallery_page(evaluation)


def test_the_security_policy_allows_only_the_style_and_script_of_the_page(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    for tag in ("style", "script"):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy


@pytest.fixture(scope="module")
def browser_page(page, browser, tmp_path_factory):
    """The page in Chromium, the URLs it requested, and console messages."""
    path = tmp_path_factory.mktemp("page") / "gallery.html"
    path.write_text(page, encoding="utf-8")
    requests, messages = [], []
    with browser.new_page(viewport={"width": 1000, "height": 800}) as tab:
        tab.on("request", lambda request: requests.append(request.url))
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.goto(path.as_uri())
        yield tab, requests, messages, path.as_uri()


def images_on(tab):
    return tab.eval_on_selector_all("article", "all => all.map(element => element.dataset.image)")


def test_page_sorts_by_mouse_and_keyboard(browser_page, evaluation):
    tab = browser_page[0]
    scores = evaluation.scores.by_image
    assert images_on(tab) == worst_first(evaluation)
    tab.click("button[data-sort=bleu4]")
    values = [scores[name]["bleu4"] for name in images_on(tab)]
    assert values == sorted(values) and values[0] < values[-1]
    assert tab.inner_text("#order") == "worst first, by BLEU-4"
    assert tab.get_attribute("button[data-sort=bleu4]", "aria-pressed") == "true"
    assert tab.get_attribute("button[data-sort=cider]", "aria-pressed") == "false"
    tab.keyboard.press("Enter")  # the button keeps the focus; sorting again reverses the order
    assert [scores[name]["bleu4"] for name in images_on(tab)] == values[::-1]
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    assert tab.inner_text("#order") == "worst first, by log-probability"
    assert images_on(tab) == ["003.png", "000.png", "001.png", "002.png"]  # images without a value come last
    tab.keyboard.press("Space")
    assert images_on(tab) == ["001.png", "000.png", "003.png", "002.png"]
    tab.click("button[data-sort=image]")
    assert images_on(tab) == list(CAPTIONS)


def test_page_embeds_its_images_and_requests_nothing(browser_page):
    tab, requests, messages, address = browser_page
    sizes = tab.eval_on_selector_all("img", "all => all.map(image => [image.naturalWidth, image.naturalHeight])")
    assert sizes == [[THUMBNAIL_SIZE, round(THUMBNAIL_SIZE * 500 / 700)]] * 3
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert messages == []
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
