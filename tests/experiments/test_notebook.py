"""The notebook runs from top to bottom, is stored without outputs, and works in JupyterLab."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "experiments" / "notebook.ipynb"


@pytest.fixture(scope="module")
def notebook():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after running all cells, and its folder."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("pycocoevalcap")
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
        patch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # as a user's kernel starts
        client = nbclient.NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(folder)}})
        client.execute()
    return notebook, folder


def cell_with(notebook, text):
    [cell] = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
    return cell


def data_of(cell):
    return [output.data for output in cell.outputs if output.output_type in ("execute_result", "display_data")]


def test_outputs_are_stripped(notebook):
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}  # no version of Python


@pytest.mark.slow
def test_the_notebook_runs(executed):
    notebook, _ = executed
    for cell in (notebook.cells[3], notebook.cells[5], cell_with(notebook, "run.captioner.caption")):
        assert not [output for output in cell.outputs if output.output_type == "stream"], cell.outputs
    [caption] = data_of(cell_with(notebook, "caption_tx.load("))
    assert caption["text/plain"].startswith("Caption('") and "<table>" in caption["text/html"]
    pages = [data["text/html"] for cell in notebook.cells if "explain(photo)" in cell.source for data in data_of(cell)]
    assert len(pages) == 2 and all(page.startswith('<iframe sandbox="allow-scripts"') for page in pages)
    [*_, run] = data_of(cell_with(notebook, "caption_tx.train("))
    assert re.fullmatch(r"Run\('.*', \d+ epochs, best .*\)", run["text/plain"])
    [plot] = data_of(cell_with(notebook, "run.history.plot"))
    assert "image/png" in plot
    [*_, table] = data_of(notebook.cells[-1])
    name, shipped, trained = table["text/plain"].splitlines()[-1].split()
    assert name == "CIDEr" and float(trained) > float(shipped) + 50, table["text/plain"]


@pytest.fixture(scope="module")
def jupyterlab(executed):
    """The address of the executed notebook in JupyterLab."""
    pytest.importorskip("jupyterlab")
    import nbformat

    notebook, folder = executed
    nbformat.write(notebook, folder / "notebook.ipynb")
    # JupyterLab shows HTML of trusted notebooks only.
    (folder / "data").mkdir()
    nbformat.sign.NotebookNotary(data_dir=str(folder / "data")).sign(notebook)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--port={port}",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        f"--notebook-dir={folder}",
    ]
    options += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "data"))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/lab/tree/notebook.ipynb"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.slow
def test_words_are_highlighted_in_jupyterlab_and_nothing_is_requested(jupyterlab, executed, browser):
    with browser.new_page(viewport={"width": 1400, "height": 1100}) as tab:
        urls = []
        tab.on("request", lambda request: urls.append((request.url, request.frame != tab.main_frame)))
        tab.goto(jupyterlab)
        frame = tab.locator('iframe[sandbox="allow-scripts"]')
        frame.first.wait_for(timeout=60_000)
        frame.first.scroll_into_view_if_needed()
        frame.nth(1).wait_for(timeout=60_000)  # cells are drawn one after another
        own = jupyterlab.partition("/lab")[0]
        for index in range(2):
            frame.nth(index).scroll_into_view_if_needed()
            inside = frame.nth(index).content_frame
            word = inside.locator(".word").first
            word.wait_for(timeout=30_000)
            before = inside.locator(".stage").first.screenshot()
            word.hover()
            inside.locator(".word.shown").first.wait_for()
            tab.wait_for_timeout(500)  # the map fades in
            assert inside.locator(".stage").first.screenshot() != before
            tab.screenshot(path=executed[1] / f"jupyterlab-{index}.png")
        assert not [url for url, inside in urls if not url.startswith((own, "data:", "blob:", "about:"))]
        assert not [url for url, inside in urls if inside and not url.startswith(("data:", "blob:", "about:"))]
