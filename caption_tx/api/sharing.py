"""Publishes bundles on the Hugging Face Hub: `caption_tx.push_to_hub`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from caption_tx.api.runs import Run
from caption_tx.assets import bundle_folder
from caption_tx.bundle_config import CONFIG, RETRIEVAL, BundleConfig, read_config
from caption_tx.bundle_files import check_files
from caption_tx.config import NAMED_WEIGHTS
from caption_tx.errors import BundleError
from caption_tx.escaping import one_line
from caption_tx.hub import PREFIX, explain_failure, hub_client, parse_address

CARD = "README.md"
_LANGUAGES = {"zh": "Chinese", "en": "English"}


def push_to_hub(
    folder: str | Path | Run,
    repository: str,
    *,
    private: bool | None = None,
    message: str = "Upload a bundle of caption_tx",
    retrieval_index: bool = False,
) -> str:
    """Publishes a bundle on the Hugging Face Hub, with a model card. Log in first with `hf auth login`.

    Only the files of the bundle are uploaded: no images, logs or settings of the run. A retrieval index, which contains
    captions of training images, is left out unless `retrieval_index` is set; then the search that is stored in the
    published bundle does not use it either. The card is the
    `README.md` in the folder, if there is one. Otherwise a repository without a card gets one with the settings and
    metrics of the bundle; a card that is there already is kept.

    Args:
        folder: a bundle, a run, or the folder of one.
        repository: "user/name"; it is created if it does not exist.
        private: whether a new repository is visible only to you; None for the default of your account.
        message: what the commit says.
        retrieval_index: also publish the retrieval index, with the captions of training images.

    Returns:
        The address of the repository's page.

    Raises:
        BundleError: the bundle is missing or damaged, the name is wrong, or the repository cannot be written.
        ConfigError: the package `huggingface_hub` is not installed.

    Example:
        >>> page = caption_tx.push_to_hub("runs/mine", "user/name")  # https://huggingface.co/user/name
        >>> captioner = caption_tx.load("hf://user/name")
    """
    repository, revision = parse_address(repository)
    if revision != "main":
        raise BundleError(f"A bundle is published as the latest version; remove '@{revision}'.")
    source = bundle_folder(folder.bundle_path if isinstance(folder, Run) else folder)
    config = read_config(source)
    check_files(source, config)
    hub, client = hub_client()
    try:
        page = client.create_repo(repository, private=private, exist_ok=True)
        names = [name for name in config.files if name != RETRIEVAL or retrieval_index]
        uploads: dict[str, Any] = {name: source / name for name in names}
        uploads[CONFIG] = _public_config(source, retrieval_index)
        if (source / CARD).is_file():
            uploads[CARD] = source / CARD
        elif not client.file_exists(repository, CARD):
            uploads[CARD] = _model_card(hub, config, repository, RETRIEVAL in names).encode()
        operations = [hub.CommitOperationAdd(name, data) for name, data in uploads.items()]
        client.create_commit(repository, operations, commit_message=message)
    except Exception as error:  # the exceptions of a failed request differ between versions
        raise explain_failure(error, repository) from error
    return str(page)


def _public_config(folder: Path, retrieval_index: bool) -> bytes:
    """config.json without the folder of the backbone's weights, and without an index that is not published."""
    values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    backbone = values["backbone"]
    if backbone["weights"] not in NAMED_WEIGHTS:
        backbone["weights"] = re.split(r"[/\\]", backbone["weights"])[-1]
    if not retrieval_index and values.pop("retrieval", None) is not None:
        del values["files"][RETRIEVAL]
        if "decoding" in values:
            values["decoding"]["retrieval"] = 0.0
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def _model_card(hub: Any, config: BundleConfig, repository: str, has_index: bool) -> str:
    """A card with what the bundle says about itself."""
    settings, backbone = config.settings, config.backbone
    language = config.text.language
    header = hub.ModelCardData(
        language=language,
        library_name="caption_tx",
        pipeline_tag="image-to-text",
        tags=["image-captioning", "attention-maps", "keras"],
    ).to_yaml()
    weights = ""
    if backbone.weights not in NAMED_WEIGHTS:
        name = one_line(os.path.basename(backbone.weights))[:80]
        weights = f" The backbone's weights are not part of this bundle: pass the file `{name}` as the second argument."
    index = ""
    if has_index and config.retrieval is not None:
        sizes = config.retrieval
        index = (
            f"\n\nThe retrieval index contains {sizes.captions:,} captions and compressed features of {sizes.images:,} "
            "training images."
        )
    metrics = {name: value for name, value in config.facts.items() if isinstance(value, int | float)}
    table = "".join(f"| {one_line(name)[:40]} | {value:.4g} |\n" for name, value in metrics.items())
    return f"""---
{header}
---

# {repository.partition("/")[2]}

Describes images in {_LANGUAGES.get(language, language)}, and shows where it looked for every word.

```python
import caption_tx  # pip install 'caption_tx[hub]'

captioner = caption_tx.load("{PREFIX}{repository}")
captioner.caption("photo.jpg")
captioner.explain("photo.jpg")
```

## Model

A Transformer decoder with {settings.num_layers} layers, hidden_dim {settings.hidden_dim} and a vocabulary of
{settings.vocabulary_size:,} tokens, on the features of a frozen {backbone.name}.{weights}{index}
""" + (f"\n## Metrics of the training run\n\n| metric | value |\n|---|---|\n{table}" if table else "")
