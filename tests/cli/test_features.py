"""`caption-tx features`: shards of several processes, merged."""

import shutil

from PIL import Image

from caption_tx.cli import main


def test_merge_of_two_shards(corpus, capsys):
    folder, options = corpus
    command = ["features", str(folder / "human.txt"), *options, "--cache", str(folder / "cache")]
    assert main([*command, "--shard", "2/2"]) == 0
    assert "contains 6 images" in capsys.readouterr().out
    assert main([*command, "--merge"]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("Missing: ") == 6
    assert "6 images of the corpus are not in" in captured.err
    assert main([*command, "--shard", "1/2"]) == 0
    assert main([*command, "--merge"]) == 0
    captured = capsys.readouterr()
    assert "features of MobileNet 0.25, conv_pw_3_relu, 32 pixels" in captured.out
    assert "contains 12 images" in captured.out
    assert main([*command, "--merge", "--shard", "1/2"]) == 1
    assert "leave out --shard" in capsys.readouterr().err


def test_error_if_no_image_can_be_read(corpus, capsys):
    folder, options = corpus
    (folder / "empty").mkdir()
    options = ["--images", str(folder / "empty"), *options[2:]]
    assert main(["features", str(folder / "human.txt"), *options, "--cache", str(folder / "cache")]) == 1
    captured = capsys.readouterr()
    message = "caption-tx: None of the 12 images of the captions is in "
    assert captured.err.rstrip().splitlines()[-1].startswith(message) and not (folder / "cache").exists()


def test_images_under_two_names_and_unusual_ones_are_reported(corpus, capsys):
    folder, options = corpus
    photos, pages = folder / "photos", [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    pages[0].save(photos / "scan.tif", save_all=True, append_images=pages[1:])
    Image.new("RGBA", (40, 40), (1, 2, 3, 90)).save(photos / "clear.png")
    shutil.copy(photos / "000.png", photos / "copy.png")
    shutil.copy(photos / "001.png", photos / "leak.png")
    rows = [f"{number:03}.png,第{number}张照片,train\n" for number in range(12)]
    rows += [
        "copy.png,一张复制的照片,train\n",
        "leak.png,又一张照片,val\n",
        "scan.tif,扫描件,train\n",
        "clear.png,图标,train\n",
    ]
    (folder / "captions.csv").write_text(f"image,caption,split\n{''.join(rows)}", encoding="utf-8")
    command = ["features", str(folder / "captions.csv"), *options, "--cache", str(folder / "cache")]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    copies = (
        "2 of 16 images have the same file as another one (such as leak.png and 001.png), 1 of them in another split, "
        "so that scores are too good; `caption-tx corpus --check` lists them."
    )
    clear = "1 of 16 images that are transparent in places, which are shown on white (clear.png)"
    assert copies in lines and clear in lines
    assert sum("several pages" in line for line in lines) == 1
    rows.remove("leak.png,又一张照片,val\n")
    (folder / "captions.csv").write_text(f"image,caption,split\n{''.join(rows)}", encoding="utf-8")
    assert main(command) == 0
    assert (
        "1 of 15 images have the same file as another one (such as copy.png and 000.png); " in capsys.readouterr().out
    )
