"""The page as text: one file, safe, with all that it shows inside."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from caption_tx.errors import CaptionTxError, FontError
from caption_tx.inference.attention.maps import END_MARK
from caption_tx.inference.page.render import render_report
from caption_tx.inference.page.ui_strings import texts

L, N, T, H, W = 2, 3, 4, 3, 5


@pytest.fixture(scope="module")
def page(make_maps):
    return render_report([make_maps(), make_maps(image="b.jpg", seed=1)], language="en")


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives.pop("default-src") == directives.pop("base-uri") == directives.pop("form-action") == "'none'"
    assert directives.pop("img-src") == directives.pop("font-src") == "data:"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives.pop(name) == f"'sha256-{digest}'"
    assert directives == {}


def test_nothing_is_fetched(page):
    for source in re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page):
        assert source.startswith("data:"), source[:80]
    assert not re.search(r"https?:|@import|fetch\(|import\(|XMLHttpRequest\(|WebSocket\(", page)


def test_maps_come_back_from_the_page(make_maps, page):
    image = data_of(page)["images"][0]
    maps = make_maps()
    cells = np.frombuffer(base64.b64decode(image["scores"]["cells"]), np.uint8).reshape(-1, H * W)
    values = (cells / 255 * np.array(image["scores"]["tops"])[:, None]).reshape(image["shape"])
    tops = maps.scores.max(axis=(-2, -1), keepdims=True)
    assert (np.abs(values - maps.scores) <= tops / 509).all()
    assert [word["tokens"] for word in image["words"]] == [[0], [1], [2], [3]]
    assert [word["unknown"] for word in image["words"]] == [False, True, False, False]
    assert image["words"][0]["log_probability"] == -3
    assert image["words"][-1]["text"] == "(end)"


def test_the_words_bring_their_glyphs(make_maps, page):
    font = re.search(r"data:font/(otf|ttf);base64,([^\"]+)", page)
    with TTFont(io.BytesIO(base64.b64decode(font[2]))) as loaded:
        assert {ord(letter) for letter in "一只龘狗"} <= set(loaded.getBestCmap())
    assert len(font[2]) < 20_000
    english = render_report([make_maps(("a", "b", "c", END_MARK), language="en")])
    assert "@font-face" not in english and 'lang="en">b</span>' in english
    with pytest.raises(FontError, match=r"U\+10FFFD"):
        render_report([make_maps(("\U0010fffd", "b", "c", END_MARK))])


def test_languages_are_named(page):
    assert '<html lang="en">' in page and "<title>Where the model looked: 2 pictures</title>" in page
    assert page.count('<span class="text" lang="zh-Hans">狗</span>') == 2
    assert '<span class="text">(end)</span>' in page


def test_a_page_speaks_the_language_of_its_captions_or_another(make_maps):
    chinese = render_report([make_maps()])
    assert '<html lang="zh-Hans">' in chinese and "<title>模型看了图中哪里：1 张图片</title>" in chinese
    assert data_of(chinese)["images"][0]["words"][-1]["text"] == "（结束）"
    assert '<span class="text">（结束）</span>' in chinese
    # Its own texts bring their glyphs too, whatever the captions are.
    latin = [make_maps(("a", "b", END_MARK), language="en")]
    for page, told in ((chinese, texts("zh")), (render_report(latin, language="zh"), texts("zh"))):
        font = re.search(r"data:font/(otf|ttf);base64,([^\"]+)", page)
        with TTFont(io.BytesIO(base64.b64decode(font[2]))) as loaded:
            glyphs = set(loaded.getBestCmap())
        assert {ord(c) for c in told["keyboard_hint"] + told["script"]["status"] if ord(c) > 0x2E7F} <= glyphs
    assert '<html lang="en">' in render_report(latin)
    with pytest.raises(CaptionTxError, match="zh or en, got the language 'fr'"):
        render_report(latin, language="fr")


def test_the_page_explains_the_signs_that_are_on_it_and_no_others(make_maps, page):
    assert "(end) is where" in page and "A ? marks" in page
    bare = render_report([make_maps(("狗", "跑", END_MARK)).without_marks()], language="en")
    assert "(end)" not in bare.split("<script")[0] and "A ? marks" not in bare


def test_hostile_names_and_words_stay_text(make_maps):
    evil = "</script><script>alert(1)</script>\u2028<img src=x onerror=alert(2)>"
    page = render_report([make_maps((evil, "狗", END_MARK), image=evil, caption=evil)], problems=[evil])
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "<img src=x" not in page and "\u2028" not in data_of(page)["images"][0]["shape"]
    assert data_of(page)["images"][0]["words"][0]["text"] == evil


def test_photographs_are_small_jpegs(make_maps, page):
    source = re.search(r'<img src="data:image/jpeg;base64,([^"]+)" width="90" height="60"', page)[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    assert picture.shape == (60, 90, 3)
    large = np.zeros((1000, 3000, 3), np.uint8)
    assert 'width="640" height="213"' in render_report([make_maps(picture=large)])


def test_what_is_shown_at_first(make_maps):
    look = {"alpha": 0.5, "common_scale": False, "cmap": "viridis", "language": "en"}
    page = render_report([make_maps()], layer=-1, head=0, pool_name="spread", typed=True, **look)
    settings = data_of(page)["settings"]
    assert settings == {"layer": 2, "head": 1, "pool": "spread", "opacity": 50, "scale": "own"}
    assert base64.b64decode(data_of(page)["colors"])[:3] == bytes([68, 1, 84])
    assert "read this caption of this picture" in " ".join(page.split())
    assert "rollout across" in page.split("<main>")[0]
    without = render_report([make_maps(self_scores=None)], language="en")
    assert "rollout across" not in without.split("<main>")[0]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ([], {}, "no attention maps"),
        ([{"picture": None}], {}, "without their picture"),
        ([{}, {"scores": np.ones((1, N, T, H, W)), "self_scores": None}], {}, "one model: .* 2 layers"),
        ([{}], {"layer": 7}, "no layer 7"),
        ([{}], {"alpha": 0}, "alpha"),
        ([{"self_scores": None}], {"pool_name": "rollout"}, "self-attention"),
    ],
)
def test_errors(make_maps, changes, options, message):
    with pytest.raises(CaptionTxError, match=message):
        render_report([make_maps(**change) for change in changes], **options)
