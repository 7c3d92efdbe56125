"""A caption word by word: frames, their words and colors, and the files they become."""

import io

import numpy as np
import pytest
from PIL import Image

from caption_tx.errors import CaptionTxError, FontError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.drawing.animation import animation_frames, encode_animation

ROWS, COLUMNS = 3, 5


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(90, 160, (79, 113, 3), dtype=np.uint8)


def hot(row, column):
    single = np.zeros((ROWS, COLUMNS), np.float32)
    single[row, column] = 1
    return single


def frames_of(image, words, **options):
    maps = np.stack([hot(place % ROWS, place % COLUMNS) for place in range(len(words))])
    return animation_frames(image, maps, words, np.log(np.full(len(words), 0.5)), **options)


def colorful(pixels):
    pixels = np.asarray(pixels).astype(int)
    return pixels.max(axis=-1) - pixels.min(axis=-1) > 25


def test_the_photograph_comes_first_and_then_a_heatmap_a_word(image):
    frames = frames_of(image, ["a", "dog", "runs"], smooth=False)
    assert len(frames) == 4
    assert len({frame.size for frame in frames}) == 1
    width, height = 480, round(480 * 79 / 113)
    photo = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
    np.testing.assert_allclose(np.asarray(frames[0])[12 : 12 + height, 12 : 12 + width], photo, atol=1)
    for place, frame in enumerate(frames[1:]):
        lit = colorful(frame)[12 : 12 + height, 12 : 12 + width]
        y, x = (part.mean() for part in np.nonzero(lit))
        assert y / height == pytest.approx((place + 0.5) / ROWS, abs=0.03)
        assert x / width == pytest.approx((place + 0.5) / COLUMNS, abs=0.03)
        assert lit.mean() == pytest.approx(1 / (ROWS * COLUMNS), abs=0.02)


def test_the_current_word_is_marked(image):
    frames = [np.asarray(frame.convert("L")).astype(int) for frame in frames_of(image, ["a", "dog"])]
    below = slice(round(480 * 79 / 113) + 16, round(480 * 79 / 113) + 52)
    dark = [(frame[below] < 60).nonzero()[1] for frame in frames]
    assert len(dark[0]) * 3 < len(dark[1])
    assert dark[1].mean() < dark[2].mean()  # the box moves on with the words


def test_chinese_is_neither_blank_nor_boxes(image):
    def word(text):
        frame = np.asarray(frames_of(image, [text])[0].convert("L"))
        return frame[round(480 * 79 / 113) + 16 :, 12:60]

    dragon, dog = word("龘"), word("狗")
    assert (dragon < 100).mean() > 0.01 and (dog < 100).mean() > 0.01
    assert (abs(dragon.astype(int) - dog) > 60).mean() > 0.005
    with pytest.raises(FontError, match=r"U\+10FFFD"):
        frames_of(image, ["\U0010fffd"])


@pytest.mark.parametrize(("kind", "worst"), [("gif", 16), ("webp", 60)])
def test_files_play_every_frame_and_keep_bright_cells_bright(kind, worst):
    image = np.random.default_rng(0).integers(0, 256, (79, 113, 1), dtype=np.uint8).repeat(3, axis=2)  # all greys
    frames = frames_of(image, ["一只", "狗"])
    data = encode_animation(frames, kind, 0.5)
    with Image.open(io.BytesIO(data)) as movie:
        assert (movie.format.lower(), movie.n_frames, movie.info.get("loop")) == (kind, 3, 0)
        times = []
        for number, frame in enumerate(frames):
            movie.seek(number)
            shown = np.asarray(movie.convert("RGB")).astype(int)
            times.append(movie.info["duration"])
            difference = np.abs(shown - np.asarray(frame)).max(axis=-1)
            assert difference.mean() < 12
            bright = np.asarray(frame)[..., :2].astype(int).min(axis=-1) - np.asarray(frame)[..., 2] > 40  # yellow
            if number:
                assert bright.any() and np.percentile(difference[bright], 99) < worst
        assert times == [500, 500, 1000]


def test_long_captions_wrap_and_own_scales_reach_the_top(image):
    short, long = frames_of(image, ["word"])[0], frames_of(image, ["word"] * 39)[0]
    assert long.width == short.width and long.height > short.height + 60
    maps = np.stack([hot(1, 1), 0.02 * hot(1, 1)])
    weak = [
        colorful(animation_frames(image, maps, ["a", "b"], np.zeros(2), common_scale=common)[2])[:300].sum()
        for common in (True, False)
    ]
    assert weak[0] == 0 < weak[1]


def test_the_bar_has_the_colors_of_the_chosen_opacity(image):
    foot = 12 + round(480 * 79 / 113) + 10 + 34 + 6
    bright, pale = (np.asarray(frames_of(image, ["a"], alpha=alpha)[1])[foot + 11, -63] for alpha in (1.0, 0.1))
    top = 255 * np.array([0.988362, 0.998364, 0.644924])  # the last color of inferno
    np.testing.assert_allclose(bright, top, atol=2)
    np.testing.assert_allclose(pale, 0.1 * top + 0.9 * 127.5, atol=2)


def test_errors(image):
    with pytest.raises(CaptionTxError, match=r"\(2, 3, 5\).*\(1,\)"):
        animation_frames(image, np.ones((2, 3, 5)), ["a"], np.zeros(1))
    with pytest.raises(CaptionTxError, match="'mp4'; known: gif, webp"):
        encode_animation([], "mp4")
    with pytest.raises(CaptionTxError, match=r"0\.02 to 60 seconds, got 0"):
        encode_animation([Image.new("RGB", (2, 2))], "gif", 0)


def test_from_maps(image):
    scores = np.broadcast_to(np.stack([hot(1, 1), hot(2, 4)]), (2, 3, 2, ROWS, COLUMNS))
    maps = AttentionMaps(scores, ("狗", "[END]"), np.log([0.5, 0.25]), "dog.jpg", "狗")
    with pytest.raises(CaptionTxError, match="without their picture"):
        maps.animation()
    assert len(maps.without_marks().animation(image, layer=1, pool="spread")) == 2
    # The end is shown by what it is, as wide as it is written so.
    shown, wanted = (np.asarray(frame) for frame in (maps.animation(image)[2], by_hand(maps, image, "(end)")))
    np.testing.assert_array_equal(shown, wanted)
    assert (np.asarray(by_hand(maps, image, "[END]")) != wanted).any()


def by_hand(maps, image, end):
    options = {"unit": "attention per cell (mean over layers and heads, sum over cells = 1, evenly spread: 0.067)"}
    return animation_frames(image, maps.pooled(), ["狗", end], maps.log_probabilities, **options)[2]
