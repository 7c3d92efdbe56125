"""The page of an evaluation, in a real browser where there is one."""

import re
import shutil

import pandas as pd
import pytest

from caption_tx.data.images.sources import open_images
from caption_tx.evaluation.evaluate import evaluate
from caption_tx.evaluation.gallery import SIDE, gallery_page, worst_first

SAID = {
    "000.png": ("一只<b>狗</b>在奔跑", "一只狗在奔跑。", -1.5),
    "001.png": ("一个女孩在玩球", "男人骑自行车。", -0.25),
    "002.png": ("一个女孩在吃饭", "女孩在吃饭。", None),
    "003.png": ("", "海边的人。", -9.0),
}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    rows = [
        {"image": name, "caption": told, "finished": name != "001.png"} | ({"log_probability": p} if p else {})
        for name, (told, _, p) in SAID.items()
    ]
    pd.DataFrame(rows).to_json(folder / "x.jsonl", orient="records", lines=True, force_ascii=False)
    table = pd.DataFrame({"image": list(SAID), "caption": [said for _, said, _ in SAID.values()]})
    return evaluate(folder / "x.jsonl", table.assign(split="val", origin="human"), "val", "zh")


@pytest.fixture(scope="module")
def images(tmp_path_factory, write_pictures):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, 3, size=(700, 500))
    return open_images(str(folder))


@pytest.fixture(scope="module")
def page(evaluation, images):
    return gallery_page(evaluation, images)


def test_worst_come_first_and_the_number_is_capped(evaluation, images):
    order = worst_first(evaluation)
    ciders = [evaluation.scores.by_image[name]["cider"] for name in order]
    assert ciders == sorted(ciders) and ciders[0] < ciders[-1]
    assert order[:2] == ["001.png", "003.png"]  # 0 in everything, so by name
    page = gallery_page(evaluation, images, most=2)
    assert re.findall(r'data-image="([^"]+)"', page) == order[:2]
    assert "The 2 worst of 4 images by CIDEr." in page


def test_the_page_escapes_texts_and_says_why_a_picture_is_missing(page, evaluation):
    assert "一只&lt;b&gt;狗&lt;/b&gt;在奔跑" in page and "<b>" not in page
    assert page.count("data:image/jpeg;base64,") == 3
    assert "003.png" in page and "No such file" in page
    assert not re.search(r"https?://", page)
    assert "<img" not in gallery_page(evaluation)


@pytest.fixture(scope="module")
def opened(page, tmp_path_factory):
    """The page in Chromium, and the addresses that it asked for."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    path = tmp_path_factory.mktemp("page") / "gallery.html"
    path.write_text(page, encoding="utf-8")
    asked, problems = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1000, "height": 800})
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: problems.append(message.text))
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(path.as_uri())
        yield tab, asked, problems, path.as_uri()
        browser.close()


def shown(tab):
    return tab.eval_on_selector_all("article", "all => all.map(each => each.dataset.image)")


def test_the_page_sorts_by_buttons_and_by_the_keyboard(opened, evaluation):
    tab = opened[0]
    scores = evaluation.scores.by_image
    assert shown(tab) == worst_first(evaluation)
    tab.click("button[data-sort=bleu4]")
    values = [scores[name]["bleu4"] for name in shown(tab)]
    assert values == sorted(values) and values[0] < values[-1]
    assert tab.inner_text("#order") == "worst first, by BLEU-4"
    assert tab.get_attribute("button[data-sort=bleu4]", "aria-pressed") == "true"
    assert tab.get_attribute("button[data-sort=cider]", "aria-pressed") == "false"
    tab.keyboard.press("Enter")  # the button keeps the focus: the same again, the other way round
    assert [scores[name]["bleu4"] for name in shown(tab)] == values[::-1]
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    assert tab.inner_text("#order") == "worst first, by log-probability"
    assert shown(tab) == ["003.png", "000.png", "001.png", "002.png"]  # what has none comes last
    tab.keyboard.press("Space")
    assert shown(tab) == ["001.png", "000.png", "003.png", "002.png"]
    tab.click("button[data-sort=image]")
    assert shown(tab) == list(SAID)


def test_the_page_shows_its_pictures_and_asks_for_nothing(opened):
    tab, asked, problems, address = opened
    sizes = tab.eval_on_selector_all("img", "all => all.map(each => [each.naturalWidth, each.naturalHeight])")
    assert sizes == [[SIDE, round(SIDE * 500 / 700)]] * 3
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert problems == []
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
