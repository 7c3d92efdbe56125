"""A small corpus for several commands."""

import pytest


@pytest.fixture
def corpus(tmp_path, write_pictures, backbone_config):
    """A folder with two caption files for twelve images, and options for the images and a small backbone."""
    names = write_pictures(tmp_path / "photos", 12)
    human = "".join(f"{name}#zhc#0 一張第{index}号Ａ图片\n" for index, name in enumerate(names))
    machine = "".join(f"{name}#zhb#0 机器说这是Ａ图片\n" for name in names)
    (tmp_path / "human.txt").write_bytes(human.encode("gb18030"))
    (tmp_path / "machine.txt").write_text(machine, encoding="utf-8")
    backbone = ["--backbone-weights", backbone_config.weights, "--alpha", "0.25", "--image-size", "32"]
    backbone += ["--feature-layer", backbone_config.feature_layer]
    return tmp_path, ["--images", str(tmp_path / "photos"), *backbone]
