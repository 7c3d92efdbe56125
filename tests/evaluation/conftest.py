"""Fixtures of the evaluation tests."""

import numpy as np
import pytest

PHRASES = {
    "zh": (
        ("一个男人", "两只棕色的狗", "穿红衣服的女孩", "一群孩子", "滑板少年"),
        ("在草地上", "在海边", "在雪地里", "在球场", "在街道上"),
        ("奔跑", "玩耍", "踢足球", "骑自行车", "拍照", "跳跃"),
    ),
    "en": (
        ("a man", "two brown dogs", "a girl in a red shirt", "some children", "the skateboarder"),
        ("runs", "plays soccer", "takes a photo", "jumps high", "rides a bike"),
        ("on the grass", "at the beach", "in the snow", "on the street", "near a fence"),
    ),
}


@pytest.fixture(scope="session")
def make_captions():
    """Makes hypotheses and three references per image from random phrases, most of which an image's captions share."""

    def make(language, images, seed=0):
        random = np.random.default_rng(seed)
        space = "" if language == "zh" else " "
        hypotheses, references = {}, {}
        for index in range(images):
            scene = [int(random.integers(len(phrases))) for phrases in PHRASES[language]]
            texts = []
            for _ in range(4):
                choices = [own if random.random() < 0.6 else int(random.integers(5)) for own in scene]
                texts.append(
                    space.join(phrases[choice] for phrases, choice in zip(PHRASES[language], choices, strict=True))
                )
            hypotheses[f"{index}.jpg"], references[f"{index}.jpg"] = texts[0], texts[1:]
        return hypotheses, references

    return make
