"""A file of captions that a run writes and a killed run goes on with.

All rows of an image are written at once, and what a killed process left of the last image is cut by
the next one. Parquet cannot be appended to: its rows are collected in `NAME.parquet.part.jsonl` until
the run is through. Beside each file, `NAME.run.json` says what made it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from caption_tx import __version__
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.files import atomic_write, write_atomically
from caption_tx.inference.predictions import Format, check_format, make_rows, printable, read_predictions, write_parquet

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from caption_tx.data.images.discovery import NamedImage
    from caption_tx.inference.search.decode import Caption


_TRIES = 100
"""Times that a file is opened which others replace or remove as often."""


def check_out(path: str | Path) -> None:
    """Raises ConfigError where captions cannot be written: an unknown format, a missing folder."""
    check_format(path)
    if not Path(path).absolute().parent.is_dir():
        raise ConfigError(f"There is no folder '{Path(path).absolute().parent}' for the captions; make it first.")


def _key(image: str) -> int:
    """What is kept of an image's name: 12 bytes, so that a million names take some 80 MB and none is mixed up."""
    return int.from_bytes(hashlib.blake2b(printable(image).encode(), digest_size=12).digest())


class PredictionFile:
    """Captions of images on their way into a file; a context that ends the file.

    Open it, take the images that it does not hold from `remaining`, and `write` each one's captions.

    Args:
        path: ends in .jsonl, .csv or .parquet.
        run: what the captions depend on, as JSON has it: bundle and options. A file of another run is refused.
        n_best: captions an image, at most.
        retry_failed: take out the rows of images that could not be read, so that they are tried again.

    Attributes:
        held: images that were in the file.
        skipped: images that `remaining` left out.

    Raises:
        ConfigError: the format is unknown or the folder missing.
        CaptionTxError: the file is of another run or of another kind, or another process writes it.
    """

    def __init__(self, path: str | Path, run: dict[str, Any], n_best: int = 1, retry_failed: bool = False) -> None:
        check_out(path)
        self.path = Path(path)
        if self.path.is_symlink():  # so that what replaces the file leaves the link
            self.path = Path(os.path.realpath(path))
            check_out(self.path)
        self.held = self.skipped = 0
        self._is_parquet = check_format(self.path) == ".parquet"
        self._format = Format(check_format(self.path) == ".csv")
        self._growing = self.path.with_name(f"{self.path.name}.part.jsonl") if self._is_parquet else self.path
        self._sidecar = self.path.with_name(f"{self.path.name}.run.json")
        self._run = json.loads(json.dumps(run))
        self._n_best = n_best
        self._seen: set[int] = set()
        self._file = self._open()
        self._size = os.fstat(self._file).st_size
        begun = self._changed = self._size > 0
        try:
            self._resume(self._read_sidecar(), retry_failed)
        except BaseException:
            if not begun:
                self._growing.unlink(missing_ok=True)
            os.close(self._file)
            raise

    def _there(self) -> str:
        """The files that hold rows, as a person is told of them."""
        files = dict.fromkeys((self.path, self._growing))
        return " and ".join(str(file) for file in files if file.exists() and file.stat().st_size)

    def _read_sidecar(self) -> dict[str, Any] | None:
        try:
            recorded = dict(json.loads(self._sidecar.read_text(encoding="utf-8"))["run"])
        except FileNotFoundError:
            recorded = None
        except (OSError, ValueError, KeyError, TypeError) as error:
            files = " and ".join(filter(None, [str(self._sidecar), self._there()]))
            raise CaptionTxError(f"{self._sidecar} cannot be read ({error}); remove {files}.") from error
        if recorded is None and (there := self._there()):
            raise CaptionTxError(
                f"{self._sidecar.name}, which tells what made {there}, is not beside it; "
                "name another file, since this may hold captions of yours."
            )
        return recorded

    def _open(self) -> int:
        """Opens the growing file for this process alone."""
        for _ in range(_TRIES):
            file = self._lock(self._growing)
            with suppress(FileNotFoundError):
                # Whoever had the lock before may have put another file there, or removed this one.
                if os.path.samestat(os.fstat(file), os.stat(self._growing)):
                    return file
            os.close(file)
        raise CaptionTxError(f"Another process replaces {self._growing} all the time; wait for it.")

    def _lock(self, path: str | Path) -> int:
        """Opens a file with a lock; the system lets go of it however the process ends."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags, 0o666)
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(file)
                raise CaptionTxError(f"Another process is writing {self.path}; wait for it.") from error
            except OSError:  # a file system without locks
                pass
        return file

    def _resume(self, recorded: dict[str, Any] | None, retry_failed: bool) -> None:
        end, failed = self._read(recorded)
        if not self._seen and self._is_parquet and self.path.exists():
            self._rewrite(map(self._format.encode, read_predictions(self.path)))
            end, failed = self._read(recorded)
        if not self._seen:
            write_atomically(self._sidecar, json.dumps({"caption_tx": __version__, "run": self._run}, indent=1) + "\n")
            end = 0
        os.ftruncate(self._file, end)
        self._size = end
        if retry_failed and failed:
            self._remove_failed()
        self.held = len(self._seen)

    def _read(self, recorded: dict[str, Any] | None) -> tuple[int, int]:
        """Notes the images that the growing file holds; gives the byte behind them, and how many of them failed."""
        failed = begin = end = rows = 0
        image: str | None = None
        row: dict[str, Any] = {}
        with open(self._growing, "rb") as file:
            for record, row in self._format.read(file, str(self._growing)):
                end = end or len(self._format.header)
                if row["image"] != image:
                    image, begin, rows = row["image"], end, 0
                    self._seen.add(_key(image))
                    failed += row["error"] is not None
                end += len(record)
                rows += 1
        if image is not None and recorded != self._run:
            raise CaptionTxError(self._difference(recorded or {}))
        if image is not None and row["error"] is None and rows < self._n_best:
            # Some of its rows may be lost; it is captioned again.
            self._seen.discard(_key(image))
            end = begin
        return end, failed

    def _difference(self, recorded: dict[str, Any]) -> str:
        found = []
        for name in sorted({*recorded, *self._run}):
            before, now = recorded.get(name), self._run.get(name)
            if before != now:
                found.append(name if len(str(now)) > 40 else f"{name} ({before}, now {now})")
        there = self._there()
        return (
            f"{there} {'were' if ' and ' in there else 'was'} made with another {', '.join(found)}; "
            f"name another file, or remove {there} to begin anew."
        )

    def _rewrite(self, records: Iterable[bytes]) -> None:
        """Puts these rows into the place of the growing file's; the new file is locked before it is there."""
        with atomic_write(self._growing, stat.S_IMODE(os.fstat(self._file).st_mode)) as new:
            new.write(self._format.header)
            new.writelines(records)
            new.flush()
            file = self._lock(new.name)
        os.close(self._file)
        self._file = file
        self._size = os.fstat(file).st_size

    def _remove_failed(self) -> None:
        def whole() -> Iterator[bytes]:
            with open(self._growing, "rb") as old:
                for record, row in self._format.read(old, str(self._growing)):
                    if row["error"] is None:
                        yield record
                    else:
                        self._seen.discard(_key(row["image"]))

        self._rewrite(whole())
        self._changed = True

    def remaining(self, images: Iterable[NamedImage]) -> Iterator[NamedImage]:
        """The images whose names the file does not hold, each once."""
        for image in images:
            key = _key(image[0] if isinstance(image, tuple) else str(image))
            if key in self._seen:
                self.skipped += 1
                continue
            self._seen.add(key)
            yield image

    def write(self, image: str, result: Sequence[Caption] | ImageError) -> None:
        """Adds the rows of an image, all of them or none.

        Raises:
            CaptionTxError: the disk is full, or the like; the file is whole up to the image before.
                Or the search found no caption of the image, which no row could tell.
        """
        if not isinstance(result, ImageError) and not result:
            raise CaptionTxError(f"The search found no caption of '{printable(image)}'; choose milder options for it.")
        data = b"".join(map(self._format.encode, make_rows(image, result)))
        if self._size == 0:
            data = self._format.header + data
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except BaseException as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            if isinstance(error, OSError):
                raise CaptionTxError(
                    f"{self._growing} cannot be written: {error.strerror}. It is whole up to '{printable(image)}'."
                ) from error
            raise
        self._size += len(data)
        self._changed = True

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, teacher_forced_scores: TracebackType | None
    ) -> None:
        try:
            if self._size == 0:  # nothing came of it
                self._growing.unlink(missing_ok=True)
                if not self.path.exists():  # a Parquet of an earlier run still needs it
                    self._sidecar.unlink(missing_ok=True)
            elif kind is None and self._is_parquet:
                if self._changed:
                    with atomic_write(self.path, stat.S_IMODE(os.fstat(self._file).st_mode)) as file:
                        write_parquet(read_predictions(self._growing), file)
                self._growing.unlink()
        finally:
            os.close(self._file)
