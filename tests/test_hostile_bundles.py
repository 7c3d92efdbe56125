"""A hostile bundle is one BundleError: quickly, in bounded memory, and without opening a file outside its folder."""

import json
import shutil

import pytest
from bundle_edits import SECRET, add_dictionary, set_value
from hostile_bundles import HOSTILE

from caption_tx.bundle import load_bundle
from caption_tx.bundle_files import DICTIONARY
from caption_tx.errors import BundleError
from caption_tx.inference.captioner import load

MAX_SECONDS, MAX_BYTES = 5, 1_500_000_000

LOAD = """
import json, os, resource, signal, sys, time
from pathlib import Path
from caption_tx.bundle import load_bundle
from caption_tx.errors import BundleError

root, seconds, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def load(folder):
    outside = []

    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not path.startswith(f"{folder}/") and not path.endswith((".py", ".pyc")):
                outside.append(path)
        elif event.split(".")[0] in ("subprocess", "socket") or event in ("os.system", "os.exec"):
            outside.append(event)

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + size, used + size))
    sys.addaudithook(watch)
    start = time.monotonic()
    try:
        load_bundle(folder)
        result = ["loaded", ""]
    except BundleError as error:
        result = ["BundleError", str(error)]
    except BaseException as error:
        result = [type(error).__name__, str(error)[:300]]
    return {"result": result, "seconds": time.monotonic() - start, "outside": list(outside)}


results = {}
for folder in sorted(root.iterdir()):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 4 * seconds)  # kills the process
        os.write(writer, json.dumps(load(folder / "bundle")).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        text = file.read()
    _, status, usage = os.wait4(child, 0)
    results[folder.name] = json.loads(text) if text else {"result": ["killed", str(status)], "outside": []}
    results[folder.name] |= {"cpu": usage.ru_utime + usage.ru_stime}
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(bundle, tmp_path_factory, run_forked):
    """What loading each bundle did, by the number of the bundle; the last one is valid."""
    root = tmp_path_factory.mktemp("hostile")
    for index, edit in enumerate([*HOSTILE.values(), lambda folder: None]):
        folder = root / f"{index:03d}"
        shutil.copytree(bundle, folder / "bundle")
        (folder / SECRET).write_text("root:x:0:0", encoding="utf-8")
        edit(folder / "bundle")
    process = run_forked(LOAD, root, MAX_SECONDS, MAX_BYTES, timeout=600)
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout)


def test_there_are_enough_hostile_bundles():
    assert len(HOSTILE) >= 120


@pytest.mark.slow
def test_the_bundle_loads_without_an_edit(results):
    assert results[f"{len(HOSTILE):03d}"]["result"] == ["loaded", ""]


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_one_error(results, name):
    result = results[f"{list(HOSTILE).index(name):03d}"]
    kind, message = result["result"]
    assert kind == "BundleError", message
    assert message.isprintable() and len(message) < 1000
    assert "root:x" not in message
    assert result["outside"] == []
    assert result["cpu"] < MAX_SECONDS  # the wall clock includes the load of this machine


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beam_width": 65}, "decoding.beam_width must be at most 64 in a bundle, got 65"),
        ({"beam_width": 0}, "decoding.beam_width must be at least 1, got 0"),
        ({"beem_width": 3}, "'decoding.beem_width'. Did you mean 'beam_width'"),
        ({"max_length": 12}, "decoding.max_length must be at most 11 in a bundle, got 12"),
        ({"consensus": 0.4}, "decoding.consensus requires at least 3 captions"),
        ({"suppress_words": ["zebra"]}, "decoding.suppress_words: 'zebra' not in the model's vocabulary"),
        ({"prefix": "zebra " * 10_000}, "decoding.prefix: 'zebra', 'zebra'"),
        ({"prefix": "a b c d e f a b c d e f"}, "decoding.prefix: 12 words leave no room"),
    ],
)
def test_a_hostile_default_search_is_rejected_by_name(bundle, tmp_path, values, message):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    set_value("decoding", values)(folder)
    with pytest.raises(BundleError) as caught:
        load(folder)
    assert message in str(caught.value) and len(str(caught.value)) < 1000 and "\n" not in str(caught.value)


def test_a_dictionary_that_the_bundle_lists_is_loaded(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    add_dictionary("小猫咪 10\n".encode())(folder)
    assert load_bundle(folder).text.user_dictionary == str(folder / DICTIONARY)
