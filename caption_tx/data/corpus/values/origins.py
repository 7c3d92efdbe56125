"""Who wrote a caption, as a value beside it says: a person, or a machine such as a captioning model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as Positions
from typing import Any

from caption_tx.data.corpus.column_names import normalize_name
from caption_tx.data.corpus.values.value_kinds import share

_NAMES = frozenset((
    "origin", "source", "by", "author_type", "annotator_type", "created_by", "generated_by", "written_by", "generator",
    "provenance", "来源", "來源", "描述来源", "标注来源", "来源类型", "标注方式", "标注类型",
))  # fmt: skip
_FLAGS = frozenset((
    "machine", "is_machine", "machine_generated", "is_machine_generated", "machine_translated", "synthetic",
    "is_synthetic", "generated", "is_generated", "auto_generated", "is_auto_generated", "ai_generated",
    "is_ai_generated", "是否机器生成", "机器生成", "是否合成", "是否机翻", "机翻", "是否自动生成",
))  # fmt: skip
_TRUE, _FALSE = ("true", "1", "1.0", "yes", "y", "t", "是"), ("false", "0", "0.0", "no", "n", "f", "否")
_MACHINE = re.compile(
    r"(?:machine|mt|ai|auto(?:matic)?|synthetic|(?:m?ll|vl)m|机器|机翻|机器翻译|机器翻譯|机器生成|机器标注|模型|大模型|自动|自动生成|合成|ai生成"
    r"|模型生成|(?:machine|ai|auto|model|llm|vlm)[ _-]?(?:generated|translated|translation|caption|captioned|written)?"
    r"|(?:google|baidu|deepl|bing|youdao)[ _-]?translat(?:e|or|ion)"
    r"|(?:chat)?gpt[ _-]?v?\d?\S*|(?:qwen|llava|internvl|instructblip|blip|claude|gemini|cogvlm|minicpm|chatglm|glm"
    r"|llama|deepseek|kosmos|florence|ofa|mplug|sharegpt4v|molmo|paligemma|pixtral|joycaption|wd14|文心一言|通义千问|豆包)"
    r"[\w.+/ -]{0,60})",
    re.IGNORECASE,
)
_HUMAN = re.compile(
    r"(?:human|manual(?:ly)?|person|people|gold|crowd|expert|annotators?|人工|人|人类|手工|手动|人工标注|人工撰写|专家|标注员|众包"
    r"|(?:annotator|worker|rater|user|human|person|标注员)[ _-]?[\w-]{0,12})",
    re.IGNORECASE,
)


def could_be_origin(name: str) -> bool:
    """Whether a column of this normalized name may say who wrote the captions."""
    return name in _NAMES or name in _FLAGS


def is_machine(name: str, value: object) -> bool | None:
    """Whether a value of a normalized name says that a machine wrote a caption; None if it does not say who did.

    Example:
        >>> is_machine("origin", "human"), is_machine("source", "gpt-4o"), is_machine("source", "coco")
        (False, True, None)
    """
    text = "" if value is None else str(value).strip()
    if name in _FLAGS:
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None
    if name not in _NAMES or not isinstance(value, str):
        return None
    return True if _MACHINE.fullmatch(text) else False if _HUMAN.fullmatch(text) else None


class MachineText(str):
    """A caption that a machine wrote, as a value beside it says."""

    __slots__ = ()


def find_origin(
    names: Sequence[str], values: Callable[[int], Sequence[Any]], read: Positions[int | None]
) -> tuple[int, str] | None:
    """The column whose values all say who wrote the captions, and its normalized name; None without one.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        read: positions of columns that are read as something else.
    """
    for position, name in enumerate(map(normalize_name, names)):
        if position in read or not could_be_origin(name):
            continue
        if share(values(position), lambda value, name=name: is_machine(name, value) is not None) == 1:
            return position, name
    return None


def mark_origin(value: Any, name: str, origin: object) -> Any:
    """A caption, or a list of captions, as `MachineText` if an origin of this normalized name says so."""
    if not is_machine(name, origin):
        return value
    if isinstance(value, (list, tuple)):
        return [MachineText(item) if type(item) is str else item for item in value]
    return MachineText(value) if type(value) is str else value


def origins_of(item: Mapping[Any, Any]) -> dict[Any, bool]:
    """Whether a machine wrote the caption of an object, by each of its keys that says who did."""
    found = {key: is_machine(normalize_name(str(key)), value) for key, value in item.items()}
    return {key: value for key, value in found.items() if value is not None}
