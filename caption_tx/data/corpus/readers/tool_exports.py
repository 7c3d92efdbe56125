"""Entries as annotation tools and models' batches export them, with the captions several levels deep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caption_tx.data.corpus.column_names import image_rank
from caption_tx.data.corpus.readers.collection_exports import read_canvas, read_wiki_page
from caption_tx.data.corpus.values.value_kinds import is_image_name

_NAMES = ("custom_id", "key", "id")
_RESULTS = ("response", "result")
_IMAGE_KEYS = ("fileUri", "file_uri", "image_url", "image")
_TIMES = ("ts", "timestamp", "date")
_PEOPLE = ("user", "author", "from", "sender", "actor", "bot_id")
_METADATA = "-metadata"
_MAX_DEPTH = 12

BATCH = "answers of a model's batch read as captions, the names of its requests (custom_id) as image names"
SEVERAL_ANSWERS = "answers beyond the first of a model, read as captions too"
LABELBOX = "captions read from the answers of Labelbox"
LABEL_STUDIO = "captions read from the results of Label Studio"
GROUND_TRUTH = "captions read from the labels of SageMaker Ground Truth"
INSTAGRAM = "captions read from posts of Instagram"
ARGILLA = "captions read from the responses of Argilla"
CANCELLED = "annotations of Label Studio that were cancelled, left out"


def read_export(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """An entry of a known export as keys with its image and its captions, and notes about it; None for others.

    Example:
        >>> answer = {"choices": [{"message": {"role": "assistant", "content": "a dog"}}]}
        >>> read_export({"custom_id": "a.jpg", "response": {"body": answer}})[0]
        {'image': 'a.jpg', 'caption': 'a dog'}
    """
    if is_flat(entry) and "custom_id" not in entry:
        return None
    return next(filter(None, (read(entry) for read in _READERS)), None)


def is_flat(entry: dict[str, Any]) -> bool:
    """Whether an entry has neither objects nor lists."""
    return not any(isinstance(value, (dict, list)) for value in entry.values())


def is_message(entry: dict[str, Any]) -> bool:
    """Whether an entry is a message of a chat, such as those that Slack and Discord export."""
    return "type" in entry and any(key in entry for key in _TIMES) and any(key in entry for key in _PEOPLE)


def is_request(entry: dict[str, Any]) -> bool:
    """Whether an entry is a request to a model, such as those of a batch, which has no answer."""
    body = entry.get("body", entry.get("params"))
    return "custom_id" in entry and isinstance(body, dict) and "messages" in body


def _read_batch(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """An answer of a batch: OpenAI's and compatible ones, Anthropic's, Gemini's."""
    result = next((entry[key] for key in _RESULTS if key in entry), None)
    answers = None if result is None else _answers(result, 0)
    is_failed = "custom_id" in entry and answers is None and any(key in entry for key in (*_RESULTS, "error"))
    if answers is None and not is_failed:
        return None
    name = next((entry[key] for key in _NAMES if key in entry), None)
    if "custom_id" not in entry and (image := _requested_image(entry.get("request"), 0)):
        name = image
    if not isinstance(name, (str, int)):
        return None
    texts = [text for text in answers or () if text]
    notes = [BATCH] + [SEVERAL_ANSWERS] * (len(texts) > 1)
    return {"image": name, "caption": _one_or_all(texts)}, notes


def _one_or_all(texts: list[str]) -> str | list[list[str]]:
    """The only text, or a list in which no text can be taken for a word of a caption."""
    return texts[0] if len(texts) == 1 else [[text] for text in texts]


def _answers(node: Any, depth: int) -> list[str] | None:
    """The answers in a response; None if it is no response of a model."""
    if not isinstance(node, dict) or depth > 3:
        return None
    for key in ("choices", "candidates", "output"):
        items = node.get(key)
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            messages = (item.get("message", item) for item in items if item.get("type", "message") == "message")
            return [_text_of(message.get("content")) for message in messages if isinstance(message, dict)]
    if node.get("role") == "assistant" and "content" in node:
        return [_text_of(node["content"])]
    found = (_answers(value, depth + 1) for value in node.values())
    return next((answers for answers in found if answers is not None), None)


def _text_of(content: Any) -> str:
    """The text of a message: a string, or parts of which some have text."""
    if isinstance(content, dict):
        content = content.get("parts", content.get("text"))
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict) and not part.get("thought"))
        content = " ".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _requested_image(node: Any, depth: int) -> str | None:
    """The image that a request names."""
    if isinstance(node, dict):
        for key in _IMAGE_KEYS:
            value = node.get(key)
            value = value.get("url") if isinstance(value, dict) else value
            if isinstance(value, str) and not value.startswith("data:"):
                return value
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = (_requested_image(item, depth + 1) for item in items) if depth < _MAX_DEPTH else ()
    return next(filter(None, found), None)


def _read_label_studio(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """A task of Label Studio's JSON export: {"data": {"image": ..}, "annotations": [{"result": [..]}]}."""
    data, annotations = entry.get("data"), entry.get("annotations", entry.get("completions"))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        return None
    annotations = [item for item in annotations if isinstance(item, dict) and isinstance(item.get("result"), list)]
    images = {key: value for key, value in data.items() if isinstance(value, str)}
    image = next((value for key, value in images.items() if image_rank(key) is not None), None)
    image = image or next(filter(is_image_name, images.values()), None)
    if image is None or (not annotations and entry["annotations"]):
        return None
    notes = [LABEL_STUDIO]
    texts: dict[str, list[str]] = {}
    for annotation in annotations:
        if annotation.get("was_cancelled") or annotation.get("skipped"):
            notes.append(CANCELLED)
            continue
        for name, text in _results(annotation["result"]):
            texts.setdefault(name, []).append(text)
    keys = {f"{name}.caption" if len(texts) > 1 else "caption": _one_or_all(found) for name, found in texts.items()}
    return {"image": image, **(keys or {"caption": ""})}, notes


def _read_argilla(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """A record of Argilla's export: {"fields": {"image": ..}, "responses": {"caption": [{"value": .., "status": ..}]}}.

    Argilla 1 writes {"responses": [{"values": {"caption": {"value": ..}}, "status": ..}]}. The status stays with the
    text, so that discarded responses are left out.
    """
    fields, responses = entry.get("fields"), entry.get("responses")
    if not isinstance(fields, dict) or not isinstance(responses, (dict, list)):
        return None
    texts = {key: value for key, value in fields.items() if isinstance(value, str)}
    image = next((value for key, value in texts.items() if image_rank(key) is not None), None)
    image = image or next(filter(is_image_name, texts.values()), None)
    if image is None:
        return None
    found: dict[str, list[dict[str, Any]]] = {}
    for question, response in _argilla_responses(responses):
        if isinstance(response.get("value"), str):
            text = {"text": response["value"], "status": response.get("status")}
            found.setdefault(question, []).append(text)
    keys = {f"{name}.caption" if len(found) > 1 else "caption": items for name, items in found.items()}
    return {"image": image, **(keys or {"caption": ""})}, [ARGILLA]


def _argilla_responses(responses: dict[str, Any] | list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(question, response) of all responses to a record."""
    if isinstance(responses, dict):
        for question, items in responses.items():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict):
                    yield question, item
        return
    for response in responses:
        values = response.get("values") if isinstance(response, dict) else None
        for question, value in (values or {}).items():
            if isinstance(value, dict):
                yield question, {**value, "status": response.get("status")}


def _read_labelbox(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """A row of Labelbox's NDJSON export: {"data_row": {"external_id": ..}, "projects": {.. {"labels": [..]}}}."""
    row, projects = entry.get("data_row"), entry.get("projects")
    name = row.get("external_id") or row.get("row_data") if isinstance(row, dict) else None
    if not isinstance(name, str) or not isinstance(projects, dict):
        return None
    texts: dict[str, list[str]] = {}
    for question, text in _text_answers(projects, 0):
        texts.setdefault(question, []).append(text)
    keys = {f"{name}.caption" if len(texts) > 1 else "caption": _one_or_all(found) for name, found in texts.items()}
    return {"image": name, **(keys or {"caption": ""})}, [LABELBOX]


def _read_instagram(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """A post of Instagram's export: {"media": [{"uri": .., "title": ".."}]}, or with a title for several pictures."""
    media = entry.get("media")
    if not isinstance(media, list) or not media or not all(isinstance(item, dict) and "uri" in item for item in media):
        return None
    if not all("creation_timestamp" in item for item in media):
        return None
    titles = {item["title"] for item in media if item.get("title")}
    if len(titles) > 1:
        return None
    title = entry.get("title") or next(iter(titles), "")
    return {"image": [item["uri"] for item in media], "caption": title}, [INSTAGRAM] if title else []


def _read_ground_truth(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]] | None:
    """A line of SageMaker Ground Truth's output: {"source-ref": "s3://..", "job": "text", "job-metadata": {..}}.

    The label of a failed task is missing; only the reason is in its metadata.
    """
    name = entry.get("source-ref", entry.get("source"))
    jobs = [key.removesuffix(_METADATA) for key, value in entry.items() if _is_job_metadata(key, value)]
    if not isinstance(name, str) or not jobs:
        return None
    texts = {job: entry[job] for job in jobs if isinstance(entry.get(job), (str, list)) and entry[job]}
    others = entry.keys() - {"source-ref", "source", *(f"{job}{_METADATA}" for job in jobs)}
    if not texts and others:  # classes, boxes or other texts
        return None
    captions = {f"{job}.caption": text for job, text in (texts or {jobs[0]: ""}).items()}
    return {"image": name, **captions}, [GROUND_TRUTH] if texts else []


def _is_job_metadata(key: str, value: Any) -> bool:
    has_type = isinstance(value, dict) and str(value.get("type", "")).startswith("groundtruth/")
    return key.endswith(_METADATA) and has_type


def _text_answers(node: Any, depth: int) -> Iterator[tuple[str, str]]:
    """(question, answer) of the answers in text below a node."""
    if isinstance(node, dict):
        answer = node.get("text_answer")
        if isinstance(answer, dict) and isinstance(answer.get("content"), str):
            yield str(node.get("name", "caption")), answer["content"]
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for item in items if depth < _MAX_DEPTH else ():
        yield from _text_answers(item, depth + 1)


def _results(results: list[Any]) -> Iterator[tuple[str, str]]:
    """(name of the control, text) of the texts in a result."""
    for result in results:
        value = result.get("value") if isinstance(result, dict) else None
        texts = value.get("text") if isinstance(value, dict) else None
        for text in [texts] if isinstance(texts, str) else texts if isinstance(texts, list) else ():
            if isinstance(text, str):
                yield str(result.get("from_name", "caption")), text


_READERS = (
    _read_batch,
    _read_label_studio,
    _read_labelbox,
    _read_argilla,
    _read_ground_truth,
    _read_instagram,
    read_canvas,
    read_wiki_page,
)
