"""`caption-tx features`: shards of several processes, merged."""

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
