"""Animations: frames, highlighted words, colors and encoded files."""

import io

import numpy as np
import pytest
from PIL import Image

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.drawing.animation import animation_frames, encode_animation
from caption_tx.inference.drawing.style import HeatmapStyle

ROWS, COLUMNS = 3, 5


@pytest.fixture
def make_frames(one_cell):
    """Makes frames of words, each with its attention on another cell."""

    def make(image, words, **style):
        maps = np.stack([one_cell(index % ROWS, index % COLUMNS) for index in range(len(words))])
        return animation_frames(image, maps, words, np.log(np.full(len(words), 0.5)), HeatmapStyle(**style))

    return make


def test_the_photograph_is_followed_by_one_heatmap_per_word(image, make_frames, is_colorful):
    frames = make_frames(image, ["a", "dog", "runs"], smooth=False)
    assert len(frames) == 4
    assert len({frame.size for frame in frames}) == 1
    width, height = 480, round(480 * 79 / 113)
    photo = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
    np.testing.assert_allclose(np.asarray(frames[0])[12 : 12 + height, 12 : 12 + width], photo, atol=1)
    for index, frame in enumerate(frames[1:]):
        lit = is_colorful(frame)[12 : 12 + height, 12 : 12 + width]
        y, x = (part.mean() for part in np.nonzero(lit))
        assert y / height == pytest.approx((index + 0.5) / ROWS, abs=0.03)
        assert x / width == pytest.approx((index + 0.5) / COLUMNS, abs=0.03)
        assert lit.mean() == pytest.approx(1 / (ROWS * COLUMNS), abs=0.02)


def test_the_current_word_is_highlighted(image, make_frames):
    frames = [np.asarray(frame.convert("L")).astype(int) for frame in make_frames(image, ["a", "dog"])]
    below = slice(round(480 * 79 / 113) + 16, round(480 * 79 / 113) + 52)
    dark = [(frame[below] < 60).nonzero()[1] for frame in frames]
    assert len(dark[0]) * 3 < len(dark[1])
    assert dark[1].mean() < dark[2].mean()  # the highlight moves with the words


def test_chinese_is_drawn(image, make_frames):
    def word(text):
        frame = np.asarray(make_frames(image, [text])[0].convert("L"))
        return frame[round(480 * 79 / 113) + 16 :, 12:60]

    dragon, dog = word("龘"), word("狗")
    assert (dragon < 100).mean() > 0.01 and (dog < 100).mean() > 0.01
    assert (abs(dragon.astype(int) - dog) > 60).mean() > 0.005
    with pytest.warns(UserWarning, match=r"U\+10FFFD"):
        frames = make_frames(image, ["狗\U0010fffd"])
    assert frames == make_frames(image, ["狗□"])


@pytest.mark.parametrize(("file_format", "tolerance"), [("gif", 16), ("webp", 60)])
def test_encoded_frames_have_their_durations_and_bright_colors(make_frames, file_format, tolerance):
    image = np.random.default_rng(0).integers(0, 256, (79, 113, 1), dtype=np.uint8).repeat(3, axis=2)  # all gray levels
    frames = make_frames(image, ["一只", "狗"])
    data = encode_animation(frames, file_format, 0.5)
    with Image.open(io.BytesIO(data)) as movie:
        assert (movie.format.lower(), movie.n_frames, movie.info.get("loop")) == (file_format, 3, 0)
        durations = []
        for index, frame in enumerate(frames):
            movie.seek(index)
            shown = np.asarray(movie.convert("RGB")).astype(int)
            durations.append(movie.info["duration"])
            difference = np.abs(shown - np.asarray(frame)).max(axis=-1)
            assert difference.mean() < 12
            bright = np.asarray(frame)[..., :2].astype(int).min(axis=-1) - np.asarray(frame)[..., 2] > 40  # yellow
            if index:
                assert bright.any() and np.percentile(difference[bright], 99) < tolerance
        assert durations == [500, 500, 1000]


def test_long_captions_wrap(image, make_frames):
    short, long = make_frames(image, ["word"])[0], make_frames(image, ["word"] * 39)[0]
    assert long.width == short.width and long.height > short.height + 60


def test_common_and_separate_scales(image, one_cell, is_colorful):
    maps = np.stack([one_cell(1, 1), 0.02 * one_cell(1, 1)])
    common, separate = (
        animation_frames(image, maps, ["a", "b"], np.zeros(2), HeatmapStyle(common_scale=common_scale))[2]
        for common_scale in (True, False)
    )
    assert is_colorful(common)[:300].sum() == 0 < is_colorful(separate)[:300].sum()


def test_the_color_bar_depends_on_the_opacity(image, make_frames):
    footer = 12 + round(480 * 79 / 113) + 10 + 34 + 6
    bright, pale = (np.asarray(make_frames(image, ["a"], alpha=alpha)[1])[footer + 11, -63] for alpha in (1.0, 0.1))
    top = 255 * np.array([0.988362, 0.998364, 0.644924])  # the last color of inferno
    np.testing.assert_allclose(bright, top, atol=2)
    np.testing.assert_allclose(pale, 0.1 * top + 0.9 * 127.5, atol=2)


def test_errors(image):
    with pytest.raises(CaptionTxError, match=r"\(2, 3, 5\).*\(1,\)"):
        animation_frames(image, np.ones((2, 3, 5)), ["a"], np.zeros(1))
    with pytest.raises(CaptionTxError, match="'mp4'; choose from gif, webp"):
        encode_animation([], "mp4")
    with pytest.raises(CaptionTxError, match=r"0\.02 to 60 seconds, got 0"):
        encode_animation([Image.new("RGB", (2, 2))], "gif", 0)


def test_an_animation_of_attention_maps(image, one_cell):
    scores = np.broadcast_to(np.stack([one_cell(1, 1), one_cell(2, 4)]), (2, 3, 2, ROWS, COLUMNS))
    maps = AttentionMaps(scores, ("狗", "[END]"), np.log([0.5, 0.25]), "dog.jpg", "狗")
    with pytest.raises(CaptionTxError, match="have no picture"):
        maps.animation()
    assert len(maps.without_punctuation().animation(image, layer=1, pool="spread")) == 2

    def last_frame(end_label):
        unit = "attention per cell (sharp: squared mean over layers and heads, sum over cells = 1, uniform: 0.067)"
        words = ["狗", end_label]
        return animation_frames(image, maps.pooled(), words, maps.log_probabilities, HeatmapStyle(unit=unit))[2]

    frame = np.asarray(maps.animation(image)[2])
    np.testing.assert_array_equal(frame, np.asarray(last_frame("(end)")))
    assert (frame != np.asarray(last_frame("[END]"))).any()
