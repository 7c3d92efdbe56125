"""Rendered scenes to try the page with, and to measure the time of a search with."""

from __future__ import annotations

import functools
import io

from PIL import Image

from caption_tx.data.scenes.rendering import render_scene

_SEED, _FIRST, _COUNT = 0, 2_000_000, 4
"""Scenes of the test split of `caption-tx demo`."""


@functools.cache
def example_scenes() -> dict[str, Image.Image]:
    """Scenes by the name of their file.

    Example:
        >>> list(example_scenes())[0]
        'scene-1.png'
    """
    return {
        f"scene-{number}.png": Image.fromarray(render_scene(_SEED, _FIRST + number).image)
        for number in range(1, _COUNT + 1)
    }


@functools.cache
def example_files() -> dict[str, bytes]:
    """The same scenes as PNG files."""
    files = {}
    for name, scene in example_scenes().items():
        stream = io.BytesIO()
        scene.save(stream, "png")
        files[name] = stream.getvalue()
    return files
