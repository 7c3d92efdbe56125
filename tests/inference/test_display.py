"""Results as the last line of a notebook cell: short text, and HTML that contains nothing but itself."""

import html
import io
import re

import numpy as np
import pytest
from PIL import Image

from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.inference.page.display import AttentionMaps, notebook_frame
from caption_tx.inference.search.caption import Caption


def make_caption(words=("一只", "<狗>"), finished=True, log_probabilities=(-0.5, -1.0, -0.25)):
    return Caption("一只<狗>", words, (5, 6, 3), log_probabilities, finished, rank=0, score=-1.0)


def test_a_caption_is_its_text():
    caption = make_caption()
    assert str(caption) == f"{caption}" == "一只<狗>"
    assert repr(caption) == "Caption('一只<狗>', log_probability=-1.75)"
    assert repr([caption]) == "[Caption('一只<狗>', log_probability=-1.75)]"


def test_a_caption_is_a_table_of_words_and_probabilities_in_html():
    shown = make_caption()._repr_html_()
    assert re.findall("<td>(.*?)</td>", shown) == ["一只", "&lt;狗&gt;", "（结束）", "0.61", "0.37", "0.78"]
    assert shown.startswith("<p>一只&lt;狗&gt;</p><table>")
    truncated = make_caption(finished=False, log_probabilities=(-0.5, -1.0))._repr_html_()
    assert "结束" not in truncated and "0.37" in truncated
    english = make_caption(words=("a", "dog"))._repr_html_()
    assert "<td>(end)</td>" in english
    unaligned = make_caption(words=("一只",), log_probabilities=(-0.5, -1.0, -2.0))
    assert unaligned._repr_html_() == "<p>一只&lt;狗&gt;</p>"


def test_maps_are_one_line_of_text(make_maps):
    maps = make_maps()
    assert repr(maps) == (
        "AttentionMaps('一只龘狗' of 'dog.jpg', scores (layers, heads, tokens, rows, columns) = (2, 3, 4, 3, 5), "
        "out of vocabulary: 龘)"
    )
    assert "vocabulary" not in repr(make_maps(unknown=()))
    with pytest.raises(ConfigError, match=r"Unknown option 'word'\. Known: layer, head, pool, alpha"):
        maps.figure(word=1)


def test_maps_are_the_page_in_a_sandbox(make_maps):
    frame = make_maps()._repr_html_()
    [source] = re.findall('srcdoc="([^"]*)"', frame)
    page = html.unescape(source)
    assert page.startswith("<!") and "default-src &#39;none&#39;" in page and "一只" in page
    assert re.findall('sandbox="([^"]*)"', frame) == ["allow-scripts"]
    assert frame.count("<iframe") == 1 and frame.endswith("</iframe>") and len(frame) < 300_000


def test_maps_are_a_figure(make_maps):
    figure = Image.open(io.BytesIO(make_maps()._repr_png_()))
    assert figure.format == "PNG" and min(figure.size) > 100
    full = Image.open(io.BytesIO(make_maps().figure()._repr_png_()))
    assert figure.width < 0.7 * full.width  # it is saved in the notebook


def test_figures_are_pictures_without_pyplot(make_maps):
    maps = make_maps()
    for figure in (maps.figure(), maps.heads_figure(None, 0)):
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_maps_that_cannot_be_drawn_are_text(make_maps, monkeypatch):
    maps = make_maps(picture=None)
    assert maps._repr_html_() is None and maps._repr_png_() is None

    def fail(*arguments, **options):
        raise CaptionTxError("no font")

    monkeypatch.setattr("caption_tx.inference.page.render.render_page", fail)
    monkeypatch.setattr(AttentionMaps, "figure", fail)
    assert notebook_frame(make_maps()) is None and make_maps()._repr_png_() is None


def test_unknown_style_is_explained(make_maps):
    for call in (make_maps().figure, make_maps().animation, lambda **style: make_maps().heads_figure(None, 0, **style)):
        with pytest.raises(ConfigError, match=r"Unknown option 'alfa'\. Did you mean 'alpha'"):
            call(alfa=0.5)


def test_an_animation_plays(make_maps, tmp_path):
    animation = make_maps().animation()
    width, height = animation[0].size
    assert repr(animation) == f"Animation(5 frames of {width}x{height} pixels)"
    assert animation._repr_html_().startswith('<img alt="The caption word by word" src="data:image/webp;base64,')
    for name in ("x.gif", "x.webp"):
        animation.save(tmp_path / name, seconds=0.5)
        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 5
    with pytest.raises(CaptionTxError, match="Unknown animation format 'png'"):
        animation.save(tmp_path / "x.png")
    with pytest.raises(CaptionTxError, match="Cannot write"):
        animation.save(tmp_path / "gone" / "x.gif")


def test_objects_have_short_texts(bundle, backbone):
    from caption_tx.evaluation.scores import score
    from caption_tx.inference.captioner import load

    captioner = load(bundle)
    text = "Bundle(language 'en', 13 tokens, backbone MobileNet at 32 pixels)"
    assert repr(captioner.bundle) == text and repr(captioner) == f"ImageCaptioner('{bundle}', {text})"
    assert repr(backbone) == f"Backbone('MobileNet', 32 pixels, features {backbone.feature_shape})"
    assert repr(captioner.bundle.tokenizer) == "Tokenizer(13 tokens, language 'en')"
    pytest.importorskip("pycocoevalcap")
    scores = score({"a": "a dog", "b": "a cat"}, {"a": ["a dog"], "b": ["one cat"]}, "en")
    assert re.fullmatch(r"Scores\('en', 2 images: BLEU-1 [\d.]+, .*CIDEr [\d.]+\)", repr(scores))
    assert np.isfinite(scores["cider"])
