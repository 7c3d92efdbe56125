"""The page as HTML text: self-contained, safe, and in the right language."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from fontTools.ttLib import TTFont

from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.box_report import UNLIKELY
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.words import END_TOKEN
from caption_tx.inference.drawing import fonts
from caption_tx.inference.drawing.style import HeatmapStyle
from caption_tx.inference.page.render import render_page
from caption_tx.inference.page.ui_strings import ui_strings

L, N, T, H, W = 2, 3, 4, 3, 5


@pytest.fixture(scope="module")
def html(make_maps):
    return render_page([make_maps(), make_maps(image="b.jpg", seed=1)], language="en")


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def embedded_glyphs(html):
    font = re.search(r"data:font/(otf|ttf);base64,([^\"]+)", html)
    with TTFont(io.BytesIO(base64.b64decode(font[2]))) as loaded:
        return set(loaded.getBestCmap())


def test_the_security_policy_allows_only_the_page_itself(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives.pop("default-src") == directives.pop("base-uri") == directives.pop("form-action") == "'none'"
    assert directives.pop("img-src") == directives.pop("font-src") == "data:"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives.pop(name) == f"'sha256-{digest}'"
    assert directives == {}


def test_nothing_is_fetched(html):
    assert html.startswith("<!doctype html>")
    for source in re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", html):
        assert source.startswith("data:"), source[:80]
    assert not re.search(r"https?:|@import|fetch\(|import\(|XMLHttpRequest\(|WebSocket\(", html)


def test_the_glyphs_of_the_words_are_embedded(make_maps, html):
    assert {ord(letter) for letter in "一只龘狗"} <= embedded_glyphs(html)
    assert len(re.search(r"data:font/\w+;base64,([^\"]+)", html)[1]) < 20_000
    english = render_page([make_maps(("a", "b", "c", END_TOKEN), language="en")])
    assert "@font-face" not in english and 'lang="en">b</span>' in english
    rare = render_page([make_maps(("\U0010fffd", "狗", "c", END_TOKEN))])  # left to the reader's fonts
    assert ord("狗") in embedded_glyphs(rare)


def test_without_a_chinese_font_the_page_uses_those_of_its_reader(make_maps, monkeypatch):
    monkeypatch.setattr(fonts, "_cjk_fonts", lambda: ())
    with pytest.warns(UserWarning, match="fonts of the reader: No font with Chinese .*pip install mplfonts"):
        page = render_page([make_maps()])
    assert "@font-face" not in page and ">狗</span>" in page


def test_languages_of_the_page_and_the_words_are_marked(html):
    assert '<html lang="en">' in html and "<title>Where the model looked: 2 images</title>" in html
    assert html.count('<span class="text" lang="zh-Hans">狗</span>') == 2
    assert '<span class="text">(end)</span>' in html


def test_the_ui_language_is_that_of_the_captions_by_default(make_maps):
    chinese = render_page([make_maps()])
    assert '<html lang="zh-Hans">' in chinese and "<title>模型关注图中的哪里：1 张图片</title>" in chinese
    assert data_of(chinese)["images"][0]["words"][-1]["text"] == "（结束）"
    assert '<span class="text">（结束）</span>' in chinese
    # The glyphs of the UI strings are embedded too, whatever the language of the captions.
    english_captions = [make_maps(("a", "b", END_TOKEN), language="en")]
    strings = ui_strings("zh")
    for html in (chinese, render_page(english_captions, language="zh")):
        text = strings["keyboard_hint"] + strings["script"]["status"]
        assert {ord(letter) for letter in text if ord(letter) > 0x2E7F} <= embedded_glyphs(html)
    assert '<html lang="en">' in render_page(english_captions)
    with pytest.raises(CaptionTxError, match="zh or en, got 'fr'"):
        render_page(english_captions, language="fr")


def test_only_symbols_on_the_page_are_explained(make_maps, html):
    assert "(end) marks the end" in html and "A ? marks" in html
    without = render_page([make_maps(("狗", "跑", END_TOKEN)).without_punctuation()], language="en")
    assert "(end)" not in without.split("<script")[0] and "A ? marks" not in without


def test_hostile_names_and_words_are_escaped(make_maps):
    hostile = "</script><script>alert(1)</script>\u2028<img src=x onerror=alert(2)>"
    html = render_page([make_maps((hostile, "狗", END_TOKEN), image=hostile, caption=hostile)], problems=[hostile])
    assert html.count("<script") == 2 and html.count("</script>") == 2
    assert "<img src=x" not in html
    assert data_of(html)["images"][0]["words"][0]["text"] == hostile


def test_initial_settings(make_maps):
    style = HeatmapStyle(alpha=0.5, common_scale=False, cmap="viridis")
    html = render_page([make_maps()], MapSelection(-1, 0, "spread"), style, typed=True, language="en")
    settings = data_of(html)["settings"]
    assert settings == {"layer": 2, "head": 1, "pool": "spread", "opacity": 50, "scale": "own"}
    assert base64.b64decode(data_of(html)["colors"])[:3] == bytes([68, 1, 84])
    assert "read this typed caption of the image" in " ".join(html.split())
    assert "rollout across" in html.split("<main>")[0]
    without_rollout = render_page([make_maps(self_scores=None)], language="en")
    assert "rollout across" not in without_rollout.split("<main>")[0]
    assert "evidence for the word</option>" in html.split("<main>")[0]
    without_cells = render_page([make_maps(), make_maps(cell_log_probabilities=None)], language="en")
    assert "evidence for the word</option>" not in without_cells.split("<main>")[0]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ([], {}, "no attention maps"),
        ([{"picture": None}], {}, "have no picture"),
        ([{}, {"scores": np.ones((1, N, T, H, W)), "self_scores": None}], {}, "one model: .* 2 layers"),
        ([{}], {"selection": MapSelection(layer=7)}, "no layer 7"),
        ([{}], {"style": HeatmapStyle(alpha=0)}, "alpha"),
        ([{"self_scores": None}], {"selection": MapSelection(pool="rollout")}, "self-attention"),
        ([{"cell_log_probabilities": None}], {"selection": MapSelection(pool="posterior")}, "of cells"),
    ],
)
def test_errors(make_maps, changes, options, message):
    with pytest.raises(CaptionTxError, match=message):
        render_page([make_maps(**change) for change in changes], **options)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (
            "en",
            "91% of the words for people, 57% of the words for clothing, 48% of the words with a probability under 5%",
        ),
        ("zh", "人 91%、衣物 57%、概率低于 5% 的词 48%"),
    ],
)
def test_the_page_says_how_far_maps_can_be_trusted(make_maps, language, text):
    maps = make_maps(accuracy={"clothing": 0.571, "people": 0.908, "all": 0.8, "bodyparts": 0.2, UNLIKELY: 0.48})
    assert text in render_page([maps], language=language)
    assert 'id="accuracy"' not in render_page([make_maps()], language=language)
