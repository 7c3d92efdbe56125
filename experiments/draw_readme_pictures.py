"""Draws the images of the README from a finished demo: heatmaps of a held-out scene, the data flow, and the web page.

COMMAND   caption-tx demo --workdir caption-tx-demo
          python experiments/draw_readme_pictures.py --demo caption-tx-demo
HARDWARE  2 cores (AMD EPYC), no GPU
TIME      about 2 minutes for the demo, seconds for the images
RESULT    assets/heatmaps.png, assets/data-flow.png and assets/web-page.png
"""

from __future__ import annotations

import argparse
import shutil
import socket
import threading
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ASSETS = Path(__file__).resolve().parent.parent / "assets"

BOXES = {
    # name: (x, y, text, color)
    "captions": (0, 2, "caption file\nFlickr8k-CN, CSV, JSON", "#fde9d0"),
    "table": (1, 2, "table\nimage, caption, split", "#fff6e8"),
    "words": (2, 2, "words\njieba or English", "#fff6e8"),
    "token_ids": (3, 2, "token_ids\nTextVectorization", "#fff6e8"),
    "images": (0, 1, "image files", "#d6e8f7"),
    "backbone": (1, 1, "frozen MobileNet\nonce per image", "#edf5fc"),
    "features": (2, 1, "features (h, w, C)\n8-bit cache", "#edf5fc"),
    "packed": (3, 1, "packed batches\none row per image", "#eaf3e6"),
    "captioner": (4, 1, "Captioner\nself- and cross-attention", "#d9ecd0"),
    "bundle": (4, 2, "fit: samples, curves,\nbundle", "#eaf3e6"),
    "decode": (4, 0, "decode\ngreedy, beam, sampling", "#eaf3e6"),
    "attention": (3, 0, "teacher-forced pass\nattention (L, N, T, S)", "#f3e3ef"),
    "heatmaps": (2, 0, "heatmap per word\nHTML, PNG, SVG, NPZ", "#f3e3ef"),
}
ARROWS = (
    ("captions", "table"),
    ("table", "words"),
    ("words", "token_ids"),
    ("token_ids", "packed"),
    ("images", "backbone"),
    ("backbone", "features"),
    ("features", "packed"),
    ("packed", "captioner"),
    ("captioner", "bundle"),
    ("captioner", "decode"),
    ("decode", "attention"),
    ("attention", "heatmaps"),
)


def data_flow() -> Figure:
    """The data flow, left to right, then back along the bottom to the heatmaps."""
    figure = Figure(figsize=(11, 3.9))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.5, 4.5), ylim=(-0.5, 2.5))
    axes.axis("off")
    width, height = 0.74, 0.5
    for x, y, text, color in BOXES.values():
        corner = (x - width / 2, y - height / 2)
        axes.add_patch(
            FancyBboxPatch(corner, width, height, boxstyle="round,pad=0.03", facecolor=color, edgecolor="#555")
        )
        axes.text(x, y, text, ha="center", va="center", fontsize=9.5, linespacing=1.5)
    for source, target in ARROWS:
        (x0, y0), (x1, y1) = BOXES[source][:2], BOXES[target][:2]
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        start = (x0 + dx * (width / 2 + 0.04), y0 + dy * (height / 2 + 0.04))
        stop = (x1 - dx * (width / 2 + 0.04), y1 - dy * (height / 2 + 0.04))
        axes.add_patch(
            FancyArrowPatch(start, stop, arrowstyle="-|>", mutation_scale=14, color="#333", shrinkA=0, shrinkB=0)
        )
    return figure


def draw_web_page(demo: Path, scenes: list[str], out: Path) -> None:
    """A picture of the page of `caption-tx serve` with two scenes, in Chromium."""
    import uvicorn
    from playwright.sync_api import sync_playwright

    from caption_tx.config import ServingOptions
    from caption_tx.serve.models import load_bundles
    from caption_tx.serve.server import server_config
    from caption_tx.serve.service import Service

    service = Service(load_bundles([str(demo / "run")]), ServingOptions())
    files = [
        {"name": name, "mimeType": "image/png", "buffer": (demo / "scenes" / "images" / name).read_bytes()}
        for name in scenes
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening, sync_playwright() as running:
        server = uvicorn.Server(server_config(service))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(locale="zh-CN", viewport={"width": 1000, "height": 1320}, reduced_motion="reduce")
        page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        page.set_input_files("#files", files)
        page.locator(".card").nth(1).wait_for()
        for card in page.locator(".card").all():
            card.locator(".word:not(.function)").nth(3).click()
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=out)
        browser.close()
        server.should_exit = True
        thread.join()
    service.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, required=True, help="workdir of a finished demo")
    parser.add_argument("--scene", default="test-000005.png")
    arguments = parser.parse_args()

    import caption_tx
    from caption_tx.figure_files import save_figure

    captioner = caption_tx.load(arguments.demo / "run" / "bundle")
    image = arguments.demo / "scenes" / "images" / arguments.scene
    save_figure(captioner.explain(image).figure(), ASSETS / "heatmaps.png", dpi=80)
    save_figure(data_flow(), ASSETS / "data-flow.png", dpi=110)
    draw_web_page(arguments.demo, [arguments.scene, "test-000012.png"], ASSETS / "web-page.png")


if __name__ == "__main__":
    main()
