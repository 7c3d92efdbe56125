"""`caption-tx explain`: words, figures, animations, pages, raw maps, and their health, from a tiny bundle."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from caption_tx.bundle import store_search
from caption_tx.cli import main
from caption_tx.config import DecodingOptions
from caption_tx.inference import captioner as captioning
from caption_tx.inference import explanation_files
from caption_tx.inference.attention import health
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.words import END_TOKEN

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def captioner(bundle):
    return captioning.load(bundle, None)


@pytest.fixture(scope="module")
def photos(tmp_path_factory, write_pictures):
    """Six images and one file that is not an image."""
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder, 6)
    (folder / "002x.jpg").write_bytes(b"not an image")
    return folder


@pytest.fixture
def run(bundle, capsys):
    """Runs the command and returns exit code, stdout and stderr."""

    def run(*arguments):
        code = main(["explain", *map(str, arguments), "--bundle", bundle])
        return code, *capsys.readouterr()

    return run


def test_images_of_several_pages_are_reported(run, tmp_path):
    pages = [Image.new("RGB", (40, 40), color) for color in ("red", "blue", "green")]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "film.gif", save_all=True, append_images=pages[1:])
    images = "images with several pages or frames, of which only the first is read"
    for options in ((), ("--json",), ("--out", tmp_path / "page.html")):
        code, _, errors = run(tmp_path / "scan.tif", *options)
        assert code == 0 and f"1 of 1 {images} ({tmp_path}/scan.tif, 3 pages)" in errors
    code, _, errors = run(tmp_path / "scan.tif", tmp_path / "film.gif", "--health")
    assert code == 0 and f"2 of 2 {images} (first: {tmp_path}/film.gif, 3 frames)" in errors


def test_words_and_log_probabilities(run, photos, captioner):
    name = str(photos / "000.png")
    code, out, err = run(name, "--caption", "a b-zebra b, c")
    assert (code, err) == (0, "caption-tx: 'b-zebra' not in the model's vocabulary: treated as the unknown word.\n")
    lines = out.splitlines()
    assert lines[0] == f"{name}\ta b-zebra b, c"
    maps = captioner.explain(name, "a b-zebra b, c")
    assert maps.words == ("a", "b", "zebra", "b", "c", END_TOKEN)
    assert [line.split("\t")[0].strip() for line in lines[1:]] == ["a", "b-zebra(?)", "b", "c", "(end)"]
    values = [float(re.search(r"ln p = (\S+)", line)[1]) for line in lines[1:]]
    expected = maps.log_probabilities
    np.testing.assert_allclose(values, [expected[0], expected[1] + expected[2], *expected[3:]], atol=0.006)


def test_captions_of_any_search_and_rank(run, photos, captioner):
    name, search = str(photos / "001.png"), ["--beam-width", "3", "--n-best", "3"]
    captions = captioner.n_best(name, beam_width=3, n_best=3)
    assert len({caption.text for caption in captions}) == 3
    for rank, caption in enumerate(captions):
        code, out, _ = run(name, *search, "--rank", rank, "--json")
        document = json.loads(out)
        [image] = document["images"]
        assert (code, image["caption"], document["errors"]) == (0, caption.text, [])
        np.testing.assert_allclose(
            [word["log_probability"] for word in image["words"]], caption.log_probabilities, atol=2e-3
        )
        assert image["log_probability"] == pytest.approx(caption.log_probability, abs=5e-3)
    code, _, err = run(name, "--rank", "1")
    assert code == 1 and "rank 1" in err and "beam_width to 2" in err
    assert run(name, "--rank", "-1")[0] == 1
    code, _, err = run(name, "--caption", "a b", "--beam-width", "2")
    assert code == 1 and "remove them" in err


def test_page_of_a_folder_with_an_unreadable_image(run, photos, tmp_path):
    out = tmp_path / "page.html"
    code, printed, err = run(photos / "005.png", photos, "--out", out, "--layer", "-1", "--pool", "rollout")
    assert code == 0
    assert "002x.jpg" in err and err.count("\n") == 1
    page = out.read_text(encoding="utf-8")
    assert page.count('<article class="card"') == 7
    assert "002x.jpg" in page.split('id="problems"')[1]
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert (data["settings"]["layer"], data["settings"]["pool"]) == (3, "rollout")
    assert '<html lang="en">' in page  # the language of the bundle
    assert printed.endswith(f"{out}\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_page_with_warnings_in_another_language(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(health, "SAME_MAP_DISTANCE", 1)  # any two maps count as the same
    out = tmp_path / "page.html"
    assert run(photos, "--out", out, "--page-language", "zh")[0] == 0
    page = out.read_text(encoding="utf-8")
    assert '<html lang="zh-Hans">' in page and "7 条警告：部分热力图没有参考价值" in page
    assert page.count("<li>第 ") == 6 and "Layer 0 head" not in page


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_figures(run, photos, tmp_path, suffix, magic):
    out = tmp_path / f"maps{suffix}"
    look = ["--pool", "spread", "--scale-per-word", "--cmap", "viridis", "--alpha", "0.6", "--flat"]
    assert run(photos / "000.png", "--caption", "a b c", "--words-only", "--out", out, *look)[0] == 0
    plain = out.read_bytes()
    assert plain.startswith(magic)
    if suffix == ".png":
        assert run(photos / "000.png", "--caption", "a b c", "--words-only", "--out", out)[0] == 0
        assert out.read_bytes() != plain
        assert run(photos / "000.png", "--caption", "a b c", "--heads-of", "1", "--out", out)[0] == 0
        assert out.read_bytes() != plain


def test_characters_without_a_glyph_are_drawn_as_boxes(run, photos, tmp_path):
    out, rare = tmp_path / "map.png", "\U0010fffd"
    code, _, err = run(photos / "000.png", "--caption", f"a b \U0001f600 {rare}", "--out", out)
    assert code == 0 and out.exists()
    assert f"caption-tx: No glyph for '{rare}' (U+10FFFD), drawn as □: choose other characters.\n" in err


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations(run, photos, tmp_path, suffix):
    out = tmp_path / f"maps{suffix}"
    assert run(photos / "000.png", "--caption", "a b c", "--seconds", "0.3", "--out", out)[0] == 0
    with Image.open(out) as movie:
        assert (movie.format.lower(), movie.n_frames) == (suffix[1:], 5)
        movie.seek(1)
        movie.load()
        assert movie.info["duration"] == 300


def test_raw_maps(run, photos, tmp_path, captioner):
    name, out = photos / "003.png", tmp_path / "maps.npz"
    assert run(name, "--caption", "a b c", "--merge", "ab", "--words-only", "--out", out)[0] == 0
    maps, expected = AttentionMaps.load_npz(out), captioner.explain(name, "a b c")
    np.testing.assert_allclose(maps.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(maps.self_scores, expected.self_scores, atol=1e-6)
    np.testing.assert_allclose(maps.self_scores.sum(axis=-1), 1, atol=1e-5)
    assert np.abs(np.triu(maps.self_scores, 1)).max() == 0
    assert maps.titles == ["ab", "c"] and maps.words == ("a", "b", "c", END_TOKEN)
    assert run(name, "--caption", "a b c", "--out", tmp_path / "maps.json")[0] == 0
    document = json.loads((tmp_path / "maps.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(document["scores"], expected.scores, rtol=1e-4, atol=1e-7)


def test_health(run, photos):
    code, out, _ = run(photos, "--health")
    assert code == 0
    assert out.startswith("6 captions, ") and "layer  head  entropy  same" in out
    code, out, _ = run(photos, "--health", "--json")
    document = json.loads(out)
    assert len(document["health"]["heads"]) == 3 * 2 + 1
    assert document["health"]["heads"][0]["row_sum_error"] < 1e-5
    assert len(document["errors"]) == 1 and "002x.jpg" in document["errors"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{photos}/000.png", "--out", "maps.bmp"], "must end in one of .png, .svg, .pdf, .gif"),
        (["{photos}/000.png", "--out", "no/such/maps.html"], "no/such"),
        (["{photos}/000.png", "--layer", "3"], "no layer 3"),
        (["{photos}/000.png", "--head", "1", "--pool", "rollout"], "leave out the head"),
        (["{photos}/000.png", "--alpha", "2"], "alpha"),
        (["{photos}/000.png", "--cmap", "rainbows"], "rainbows"),
        (["{photos}/000.png", "--heads-of", "0", "--out", "x.html"], "heads_of draws a figure"),
        (["{photos}/000.png", "--caption", "a b c d a b c d a b c d"], "12 words; the model's limit is 10"),
        (["{photos}/000.png", "--caption", "..."], "contains no words"),
        (["{photos}/gone.png"], "gone.png"),
        (["{photos}/000.png", "--page-language", "zh", "--out", "x.png"], "page_language needs a page"),
    ],
)
def test_invalid_request_is_one_line(run, photos, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*[text.format(photos=photos) for text in arguments])
    assert (code, out) == (1, "")
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}", "--out", "x.png"], "x.png shows only one image; pass one, or write a page (.html) for several."),
        (["{folder}/a.png", "--caption", "a b", "--merge", "ac", "--out", "x.png"], "tokens that spell 'ac'"),
        (["{folder}/a.png", "--caption", "a b c", "--merge", "ab", "--heads-of", "3", "--out", "x.png"], "shows 3"),
        (["{folder}/a.png", "--caption", "a", "--words-only", "--heads-of", "-2", "--out", "x.png"], "no word -2"),
        (["{folder}/a.png", "--heads-of", "11", "--out", "x.png"], "no word 11; captions have at most 11"),
        (["{folder}/a.png", "--heads-of", "4", "--max-length", "4", "--out", "x.png"], "captions have at most 4"),
    ],
)
def test_invalid_request_is_rejected_before_any_image_is_read(run, photos, tmp_path, monkeypatch, arguments, message):
    """The files are not images, which would be the error if one had been read."""
    for name in ("a.png", "b.png"):
        shutil.copy(photos / "002x.jpg", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*[text.format(folder=tmp_path) for text in arguments])
    assert (code, out) == (1, "")
    assert message in err and err.count("\n") == 1 and "skipped" not in err


def test_page_shows_a_limited_number_of_images(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(explanation_files, "MAX_IMAGES_PER_PAGE", 6)
    code, out, err = run(photos, "--out", tmp_path / "x.html")
    assert (code, out) == (1, "") and err.endswith("A page shows at most 6 images; pass fewer.\n")
    assert list(tmp_path.iterdir()) == []


def test_failed_request_writes_nothing(run, photos, tmp_path):
    out = tmp_path / "x.png"
    code, _, err = run(photos / "002x.jpg", "--out", out)
    assert code == 1 and "None of the images could be explained." in err
    [image] = json.loads(run(photos / "000.png", "--json")[1])["images"]
    two = "".join(word["text"] for word in image["words"][:2])  # merged, so that there is no eleventh word
    code, _, err = run(photos / "000.png", "--merge", two, "--heads-of", "10", "--out", out)
    assert code == 1 and "no word 10" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".html", ".json", ".png"])
def test_names_of_any_bytes_are_explained(run, photos, tmp_path, suffix):
    names = [f"{tmp_path}/\udcff\u72d7.png", f"{tmp_path}/a\n\x1b[2Jb.png"]
    for name in names:
        shutil.copy(photos / "000.png", name)
    (tmp_path / "\udcfe.jpg").write_bytes(b"no picture")
    out = tmp_path / f"out{suffix}"
    images = [str(tmp_path)] if suffix == ".html" else names[:1]
    code, printed, err = run(*images, "--out", out)
    assert code == 0, err
    assert "\\udcff狗.png" in printed and "\x1b" not in printed + err
    assert (err.count("\n"), "\\udcfe.jpg" in err) == ((1, True) if suffix == ".html" else (0, False))
    assert len(printed.splitlines()) == printed.count("\n")
    if suffix != ".png":
        assert "udcff" in out.read_text(encoding="utf-8")
    code, printed, _ = run(*images, "--json")
    assert code == 0
    assert [item["image"].encode() for item in json.loads(printed)["images"]]


def page_images(path):
    """The data of the cards of a page, and their headings."""
    text = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    return data["images"], re.findall(r"<h2 id=.name-\d+.>(.*?)</h2>", text)


def test_two_poolings_of_an_image_are_shown_side_by_side(run, photos, tmp_path):
    code, _, err = run(photos / "000.png", photos / "001.png", "--compare", "rollout", "--out", tmp_path / "x.html")
    assert (code, err) == (0, "")
    images, names = page_images(tmp_path / "x.html")
    assert names == [f"00{index}.png · {pool}" for index in (0, 1) for pool in ("sharp", "rollout")]
    assert [image["pool"] for image in images] == ["sharp", "rollout"] * 2


def test_two_bundles_explain_the_same_caption(run, bundle, photos, tmp_path):
    shutil.copytree(bundle, tmp_path / "other")
    arguments = [photos / "000.png", "--compare", tmp_path / "other", "--out", tmp_path / "x.html"]
    code, _, err = run(*arguments)  # this model never ends a caption
    assert code == 0 and "other cannot explain the caption of" in err and "limit is 10" in err
    assert page_images(tmp_path / "x.html")[1] == ["000.png · bundle"]
    code, _, err = run(*arguments, "--caption", "a b c")
    assert (code, err) == (0, "")
    images, names = page_images(tmp_path / "x.html")
    assert len(names) == 2 and names[1] == "000.png · other"
    assert [word["text"] for word in images[0]["words"]] == [word["text"] for word in images[1]["words"]]
    assert images[0]["scores"] == images[1]["scores"], "the other bundle is a copy"
    assert images[0]["pool"] is images[1]["pool"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "max", "--out", "x.png"], "compare needs a page as output file (.html)."),
        (["--compare", "nowhere", "--out", "x.html"], "nowhere"),
        (["--compare", "sharp", "--out", "x.html"], "compare sharp would show the same maps twice"),
        (
            ["--compare", "max", "--layer", "0", "--head", "0", "--out", "x.html"],
            "compare max would show the same maps twice",
        ),
    ],
)
def test_comparisons_that_are_impossible(run, photos, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(photos / "000.png", *arguments)
    assert code == 1 and message in err and err.count("\n") == 1


def test_the_search_of_the_bundle_is_followed_and_reported(bundle, photos, captioner, tmp_path, capsys):
    stored = shutil.copytree(bundle, tmp_path / "stored")
    store_search(stored, DecodingOptions(beam_width=3))
    command = ["explain", str(photos / "000.png"), "--bundle", str(stored), "--json"]
    assert main([*command, "--rank", "2"]) == 0
    printed, errors = capsys.readouterr()
    document = json.loads(printed)
    expected = captioner.n_best(photos / "000.png", beam_width=3, n_best=3)[2]
    assert document["images"][0]["caption"] == expected.text
    assert (document["search"]["beam_width"], document["search"]["n_best"]) == (3, 3)
    assert errors.startswith("caption-tx: search: beam_width 3, n_best 3 (instead of")
    assert main([*command, "--caption", "a b"]) == 0
    printed, errors = capsys.readouterr()
    assert ("search" in json.loads(printed), errors) == (False, "")
    assert main([*command, "--rank", "3"]) == 1
    assert "The search finds too few captions for rank 3" in capsys.readouterr().err
    assert main([*command, "--caption", "a b", "--beam-width", "2"]) == 1
    assert "do not apply to a given caption" in capsys.readouterr().err
