"""Runs the signatures of an exported file with ai-edge-litert, in any number of threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from caption_tx.errors import BundleError, CaptionTxError
from caption_tx.escaping import one_line
from caption_tx.startup import silenced_stderr

INSTALL = "install it with `pip install 'caption_tx[litert]'`, or alone with `pip install ai-edge-litert`"


def import_interpreter() -> Any:
    """The class `Interpreter` of ai-edge-litert.

    Raises:
        CaptionTxError: it is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise CaptionTxError(f"LiteRT files need ai-edge-litert; {INSTALL}.") from error
    return Interpreter


class Runner:
    """The signatures of a file. Each thread gets an interpreter of its own, which uses one core.

    Raises:
        BundleError: the file is not a LiteRT file, or has other signatures.
        CaptionTxError: ai-edge-litert is not installed.
    """

    def __init__(self, path: str | Path, signatures: tuple[str, ...]) -> None:
        self._path = str(path)
        self._local = threading.local()
        interpreter = self._open()
        with silenced_stderr():  # the first interpreter of a process reports that it starts
            interpreter.allocate_tensors()
        if missing := set(signatures) - set(interpreter.get_signature_list()):
            raise BundleError(f"{path} has no signature {', '.join(sorted(missing))}; export the bundle again.")
        self._unused = [interpreter]  # for the first thread

    def _open(self) -> Any:
        interpreter = import_interpreter()
        try:
            return interpreter(self._path, num_threads=1)
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{self._path} is not a LiteRT file: {one_line(str(error))[:200]}") from error

    def __call__(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of a signature by name."""
        if not hasattr(self._local, "runners"):
            try:
                interpreter = self._unused.pop()
            except IndexError:
                interpreter = self._open()
            self._local.interpreter, self._local.runners = interpreter, {}
        runners = self._local.runners
        if signature not in runners:
            runners[signature] = self._local.interpreter.get_signature_runner(signature)
        return runners[signature](**inputs)
