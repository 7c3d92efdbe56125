"""Rendered scenes as a corpus on disk: images, a caption file, and the objects of each image."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image, PngImagePlugin
from tqdm.auto import tqdm

from caption_tx.config import SPLITS
from caption_tx.data.scenes.captions import check_language, scene_captions
from caption_tx.data.scenes.objects import SceneObject
from caption_tx.data.scenes.rendering import RENDERER, plan_scene, render_scene
from caption_tx.errors import ConfigError, CorpusError
from caption_tx.files import atomic_write, write_atomically


@dataclass(frozen=True)
class SceneFiles:
    """The files that `write_scenes` writes.

    Attributes:
        images: folder of PNG images.
        captions: TSV file with the columns image, caption and split.
        scenes: JSON file with the objects of each image, for `read_scenes`.
    """

    images: Path
    captions: Path
    scenes: Path


def write_scenes(
    folder: str | Path, counts: Mapping[str, int] | None = None, language: str = "zh", seed: int = 0
) -> SceneFiles:
    """Writes scenes as a corpus: `images/*.png`, `captions.tsv` (image, caption, split) and `scenes.json`.

    Files are written atomically and images already rendered with the same seed are kept, so an interrupted
    call can be repeated.

    Args:
        folder: created if it does not exist.
        counts: images per split; 1600 train, 200 val and 200 test by default.
        language: language of the captions, one of `LANGUAGES`.
        seed: seed of the scenes.

    Raises:
        ConfigError: a split or the language is unknown, or a number is negative.
    """
    check_language(language)
    folder = Path(folder)
    files = SceneFiles(folder / "images", folder / "captions.tsv", folder / "scenes.json")
    rows = list(_rows({"train": 1600, "val": 200, "test": 200} if counts is None else counts))
    files.images.mkdir(parents=True, exist_ok=True)
    # PNG compression releases the interpreter lock, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = pool.map(lambda row: _write_image(files.images / row[2], seed, row[1]), rows)
        for _ in tqdm(written, "scenes", len(rows), unit="image"):
            pass
    lines, entries = ["image\tcaption\tsplit"], {}
    for split, index, name in rows:
        objects, direction = plan_scene(seed, index)
        lines += [f"{name}\t{caption}\t{split}" for caption in scene_captions(objects, direction, language)]
        entries[name] = {"split": split, "index": index, "objects": [asdict(item) for item in objects]}
    write_atomically(files.captions, "\n".join(lines) + "\n")
    header = {"renderer": RENDERER, "seed": seed, "language": language}
    write_atomically(files.scenes, json.dumps(header | {"images": entries}, ensure_ascii=False) + "\n")
    return files


def read_scenes(path: str | Path) -> dict[str, tuple[SceneObject, ...]]:
    """Reads the objects of each image (file name -> objects) from a `scenes.json` of `write_scenes`.

    Raises:
        CorpusError: the file is missing, damaged, or written by another version of the renderer.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        renderer = content["renderer"]
        if renderer != RENDERER:
            raise CorpusError(f"{path} was written by renderer {renderer!r}, not {RENDERER!r}; write the scenes again.")
        return {
            name: tuple(SceneObject(**(item | {"center": tuple(item["center"])})) for item in entry["objects"])
            for name, entry in content["images"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"Cannot read scenes from {path}: {error}; write them with write_scenes.") from error


def _rows(counts: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    """Yields (split, index, file name); splits have separate index ranges, so one can grow without the others."""
    for split, count in counts.items():
        if split not in SPLITS or count < 0:
            raise ConfigError(
                f"Scene counts must not be negative and their splits must be in {', '.join(SPLITS)}, "
                f"got {split!r}: {count!r}."
            )
        start = SPLITS.index(split) * 1_000_000
        for offset in range(count):
            yield split, start + offset, f"{split}-{offset:06d}.png"


def _write_image(path: Path, seed: int, index: int) -> None:
    """Writes the image of a scene unless it exists, which a text chunk of the PNG shows without decoding."""
    key = f"{RENDERER}/{seed}/{index}"
    try:
        with Image.open(path) as image:
            if image.info.get("scene") == key:
                return
    except OSError:
        pass  # The file is missing or not an image, so it is written below.
    info = PngImagePlugin.PngInfo()
    info.add_text("scene", key)
    with atomic_write(path) as file:
        Image.fromarray(render_scene(seed, index).image).save(file, format="PNG", compress_level=1, pnginfo=info)
