"""Conversations about an image, in which the first answer is its caption: turns with roles, or questions and answers.

LLaVA writes {"from", "value"}, ShareGPT and OpenAI {"role", "content"}, the Cauldron {"user", "assistant"}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CONVERSATION_KEYS = ("conversations", "conversation", "messages", "dialog", "dialogs", "dialogue", "turns", "chat")
"""Keys of entries that hold a conversation."""

# fmt: off
_ASKING = (
    "user", "human", "question", "query", "q", "instruction", "prompt", "prompter", "system", "tool", "function",
    "observation", "用户", "问", "问题", "提问",
)
_ANSWERING = (
    "assistant", "gpt", "bot", "model", "chatgpt", "answer", "response", "output", "completion", "a", "ai", "reply",
    "助手", "答", "回答",
)
_ROLE_KEYS = ("role", "from", "speaker")
_TEXT_KEYS = ("content", "value", "text", "message", "utterance")
# fmt: on


def is_conversation(items: Sequence[Any]) -> bool:
    """Whether a list is a conversation.

    Example:
        >>> is_conversation([{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "a dog"}])
        True
        >>> is_conversation([{"user": "What is it?", "assistant": "a dog"}]), is_conversation(["a dog", "it runs"])
        (True, False)
    """
    return any(is_answer is not None for item in items for is_answer, _ in _turns_of(item))


def is_turn(item: dict[str, Any]) -> bool:
    """Whether an object has a role beside its text, as {"role": "assistant", "content": ".."}."""
    names = {str(key).strip().lower() for key in item}
    return not names.isdisjoint(_ROLE_KEYS) and not names.isdisjoint(_TEXT_KEYS) and is_conversation([item])


def pair_texts(items: Any) -> Any:
    """A list of questions and answers in turn, or of such pairs, as turns with roles; other values as they are.

    Example:
        >>> pair_texts(["What is it?", "a dog"])
        [{'user': 'What is it?', 'assistant': 'a dog'}]
    """
    pairs = items
    if isinstance(items, list) and len(items) % 2 == 0 and all(isinstance(item, str) for item in items):
        pairs = list(zip(items[::2], items[1::2], strict=True))
    if not isinstance(pairs, list) or not pairs or not all(map(_is_pair, pairs)):
        return items
    return [{"user": question, "assistant": answer} for question, answer in pairs]


def join_history(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose answer belongs to a conversation, with all of it as the answer; other entries as they are.

    ms-swift and LLaMA-Factory write earlier questions and answers in a key of their own.

    Example:
        >>> join_history({"query": "Where?", "response": "a park", "history": [["What is it?", "a dog"]]})["response"]
        [{'user': 'What is it?', 'assistant': 'a dog'}, {'user': '', 'assistant': 'a park'}]
    """
    history = entry.get("history")
    answers = [key for key in entry if key.lower() in _ANSWERING and isinstance(entry[key], str)]
    if len(answers) != 1 or not isinstance(history, list) or not all(map(_is_pair, history)):
        return entry
    rest = {key: value for key, value in entry.items() if key != "history"}
    if history:
        rest[answers[0]] = [*pair_texts(history), {"user": "", "assistant": entry[answers[0]]}]
    return rest


def answers_of(items: Sequence[Any]) -> list[str]:
    """The answers in a conversation, in order; "" for an answer without text.

    Turns with an unknown role, such as the name of a model, are answers if there are no others.
    """
    turns = [turn for item in items for turn in _turns_of(item)]
    kind = True if any(is_answer for is_answer, _ in turns) else None
    return [_text_of(content) for is_answer, content in turns if is_answer is kind]


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and all(isinstance(text, str) for text in item)


def _turns_of(item: Any) -> list[tuple[bool | None, Any]]:
    """Whether each turn in an item is an answer (None: unknown), and its content."""
    if not isinstance(item, dict):
        return []
    names = {str(key).strip().lower(): key for key in item}
    if role := next((item[names[key]] for key in _ROLE_KEYS if key in names), None):
        return [(_kind_of(str(role)), next((item[names[key]] for key in _TEXT_KEYS if key in names), None))]
    asked = [names[key] for key in _ASKING if key in names]
    answers = [names[key] for key in _ANSWERING if key in names]
    return [(False, item[asked[0]]), (True, item[answers[0]])] if asked and answers else []


def _kind_of(role: str) -> bool | None:
    """Whether a role answers; None if it is no role of a conversation, such as the name of an annotator."""
    role = role.strip().lower()
    if role in _ASKING:
        return False
    return True if role in _ANSWERING or role.startswith(("gpt", "assistant")) else None


def _text_of(content: Any) -> str:
    if isinstance(content, list):  # [{"type": "text", "text": ".."}, {"type": "image", ..}]
        parts = (part["text"] for part in content if isinstance(part, dict) and part.get("text"))
        content = " ".join(map(str, parts))
    return content if isinstance(content, str) else ""
