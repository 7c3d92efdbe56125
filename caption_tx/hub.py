"""Downloads bundles from the Hugging Face Hub: an address `hf://user/name` becomes a folder in the cache."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from caption_tx.errors import BundleError, ConfigError
from caption_tx.escaping import one_line
from caption_tx.files import write_atomically

PREFIX = "hf://"
CACHE_ENV_VAR = "CAPTION_TX_HUB_CACHE"
"""The environment variable that names another folder for downloaded bundles."""

MAX_BYTES = {
    "config.json": 1 << 20,
    "vocabulary.txt": 64 << 20,
    "model.weights.h5": (1 << 30) + (64 << 20),
    "user_dictionary.txt": 64 << 20,
    "retrieval.h5": 1 << 30,
}
"""The files of a bundle, the only ones that are downloaded, each with the most bytes that a valid one can have."""

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)


def is_address(bundle: Any) -> bool:
    """Whether the name of a bundle is an address on the Hub."""
    return isinstance(bundle, str) and bundle.startswith(PREFIX)


def parse_address(address: str) -> tuple[str, str]:
    """The repository and the revision of an address.

    Raises:
        BundleError: the address has another form.

    Example:
        >>> parse_address("hf://user/name@v1")
        ('user/name', 'v1')
    """
    repository, at, revision = address.removeprefix(PREFIX).partition("@")
    revision = revision if at else "main"
    if not _REPOSITORY.fullmatch(repository) or not _REVISION.fullmatch(revision) or ".." in address:
        raise BundleError(f"'{one_line(address)}' is no address on the Hub; write hf://user/name or hf://user/name@v1.")
    return repository, revision


def hub_client() -> tuple[Any, Any]:
    """The package `huggingface_hub` and a client of the endpoint that `HF_ENDPOINT` names.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise ConfigError(
            "Bundles on the Hugging Face Hub need huggingface_hub; install it with `pip install 'caption_tx[hub]'`."
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT") or None
    return huggingface_hub, huggingface_hub.HfApi(endpoint=endpoint, library_name="caption_tx")


def explain_failure(error: Exception, repository: str, revision: str = "main") -> BundleError:
    """What a failed request means, in one line."""
    name, status = type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)
    if name == "GatedRepoError":
        text = "asks for access; request it on its page, then log in with `hf auth login`"
    elif name == "RevisionNotFoundError":
        text = f"has no revision '{revision}'"
    elif name == "RepositoryNotFoundError":
        text = "does not exist, or is private; check the name, and log in with `hf auth login`"
    elif status in (401, 403):
        text = "does not accept your token; log in with `hf auth login`"
    else:
        reason = one_line(str(error.__cause__ or error))[:200] or name
        text = f"cannot be reached ({reason}); check the network and HF_ENDPOINT"
    return BundleError(f"{PREFIX}{repository} {text}.")


def download_bundle(address: str) -> Path:
    """The folder with the bundle at an address, downloaded if its latest version is not in the cache.

    Nothing but the files of a bundle is downloaded, and none that is larger than it can be. A version is never changed
    once it is in the cache. Without a connection the version that was downloaded last is used, with a warning.

    Raises:
        BundleError: the address is wrong, or the repository cannot be read or contains no bundle.
        ConfigError: the package `huggingface_hub` is not installed.
    """
    repository, revision = parse_address(address)
    cache = _cache_folder() / repository.replace("/", "--")
    latest = cache / "revisions" / f"{revision.replace('/', '--')}.txt"
    hub, client = hub_client()
    errors = hub.errors
    try:
        info = client.model_info(repository, revision=revision, files_metadata=True)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise explain_failure(error, repository, revision) from error
    except Exception as error:  # the exceptions of a failed connection differ between versions
        if latest.is_file() and (folder := cache / latest.read_text(encoding="utf-8")).is_dir():
            warnings.warn(f"{explain_failure(error, repository)} The last download is used.", stacklevel=2)
            return folder
        raise explain_failure(error, repository, revision) from error
    commit = str(info.sha)
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        raise BundleError(f"{PREFIX}{repository} has a version of an unknown form: '{one_line(commit)[:80]}'.")
    if not (cache / commit).is_dir():
        names = _bundle_files(repository, info.siblings or ())
        try:
            _download(client, repository, commit, names, cache)
        except OSError as error:
            if getattr(error, "response", None) is None and error.errno is not None:
                raise BundleError(f"Cannot write {cache}: {error.strerror}.") from error
            raise explain_failure(error, repository, revision) from error
        except Exception as error:
            raise explain_failure(error, repository, revision) from error
    latest.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(latest, commit)
    return cache / commit


def _cache_folder() -> Path:
    if folder := os.environ.get(CACHE_ENV_VAR):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "caption_tx" / "hub"


def _bundle_files(repository: str, siblings: Iterable[Any]) -> list[str]:
    """The files of the bundle that a repository has."""
    sizes = {item.rfilename: item.size or 0 for item in siblings if item.rfilename in MAX_BYTES}
    if "config.json" not in sizes or "model.weights.h5" not in sizes:
        raise BundleError(f"{PREFIX}{repository} contains no bundle of caption_tx.")
    for name, size in sizes.items():
        if size > MAX_BYTES[name]:
            raise BundleError(
                f"{PREFIX}{repository}: {name} has {size:,} bytes, more than the {MAX_BYTES[name]:,} of any bundle."
            )
    return sorted(sizes)


def _download(client: Any, repository: str, commit: str, names: Iterable[str], cache: Path) -> None:
    """Downloads the files of a version into a folder that appears when it is complete."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as temporary:
        # Into a folder of its own: the cache of huggingface_hub consists of links, which bundles must not contain.
        for name in names:
            client.hf_hub_download(repository, name, revision=commit, local_dir=temporary)
        shutil.rmtree(Path(temporary) / ".cache", ignore_errors=True)
        complete = Path(temporary) / "complete"
        complete.mkdir()
        for name in names:
            os.replace(Path(temporary) / name, complete / name)
        try:
            os.rename(complete, cache / commit)
        except OSError:
            if not (cache / commit).is_dir():  # else another process was faster
                raise
