"""The page in Chromium by keyboard and screen reader, in English and Chinese. Skipped without a browser."""

import numpy as np
import pytest

from caption_tx.inference.attention.health import measure_health
from caption_tx.inference.attention.words import END_TOKEN
from caption_tx.inference.page.render import render_page


def test_sliders_work_by_keyboard_and_announce_their_value(page):
    page.word(0).click()
    slider, announced = page.locator("#layer"), []
    slider.focus()
    seen = [page.drawn_map()]
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Home"):
        page.keyboard.press(key)
        announced.append(slider.get_attribute("aria-valuetext"))
        assert page.inner_text("#layer-value") == announced[-1]
        seen.append(page.drawn_map())
    assert announced == ["layer 0", "layer 1", "layer 1", "all layers"]  # there are only two layers
    assert min(np.abs(seen[0] - seen[1]).max(), np.abs(seen[1] - seen[2]).max()) > 0.05
    np.testing.assert_array_equal(seen[0], seen[-1])
    page.locator("#head").focus()
    page.keyboard.press("End")
    assert page.locator("#head").get_attribute("aria-valuetext") == page.inner_text("#head-value") == "head 2"
    assert np.abs(page.drawn_map() - seen[0]).max() > 0.05


def test_by_keyboard_alone(page):
    page.keyboard.press("ArrowRight")  # selects the first word
    assert page.word(0).evaluate("button => button === document.activeElement")
    seen = [page.drawn_map()]
    for key, index in (("ArrowRight", 1), ("End", 3), ("ArrowLeft", 2), ("Home", 0)):
        page.keyboard.press(key)
        assert page.word(index).evaluate("button => button === document.activeElement")
        seen.append(page.drawn_map())
    np.testing.assert_array_equal(seen[0], seen[-1])
    assert np.abs(seen[1] - seen[2]).max() > 0.05
    page.keyboard.press("ArrowDown")
    assert page.word(0, card=1).evaluate("button => button === document.activeElement")
    assert page.drawn_map().max() == 0 < page.drawn_map(1).max()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.word(1, 1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")  # leaves the words; the pinned word stays shown
    assert page.drawn_map(1).max() > 0
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    assert page.word(1, 1).get_attribute("aria-pressed") == "false"
    assert page.drawn_map(1).max() == 0
    # Each card has two tab stops: its play button and its words.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.word(0, 2).evaluate("button => button === document.activeElement")


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


def test_visible_and_accessible_text_of_a_chinese_page_is_chinese(page, make_maps, tmp_path, latin_words):
    scores = make_maps().scores.copy()
    scores[1, 2] = scores[1, 2, :1]
    maps, other = make_maps(scores=scores), make_maps(("狗", "跑", END_TOKEN), "b.jpg", 1)
    path = tmp_path / "zh.html"
    path.write_text(render_page([maps, other], health=measure_health([maps]), problems=["c.jpg cannot be read."]))
    page.goto(path.as_uri())
    assert page.title() == "模型关注图中的哪里：2 张图片"
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
    assert page.inner_text("#warnings summary") == "1 条警告：部分热力图没有参考价值"
    assert "第 1 层第 2 个注意力头对每个词都看同一个地方（100%" in page.inner_text("#warnings li")
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
    assert latin_words(page) == ["Esc", "b", "dog", "jpg", "rollout"]
    page.requested_urls[:] = page.requested_urls[:1]
