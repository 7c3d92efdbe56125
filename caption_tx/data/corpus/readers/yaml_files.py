"""YAML documents, read like JSON."""

from __future__ import annotations

from typing import Any

from caption_tx.data.corpus.values.literals import join_pairs
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

SUFFIXES = (".yaml", ".yml")


def load_yaml(file: TextFile) -> Any:
    """The value of a YAML file, in which all scalars are text; several documents become a list.

    YAML's own types would turn captions such as `no` and `12:30` into other values.

    Raises:
        CorpusError: PyYAML is not installed, or the file is not valid YAML.
    """
    try:
        import yaml
    except ImportError:
        raise CorpusError(
            f'{file.path} is a YAML file; pip install "caption_tx[yaml]" to read it, or convert it to JSON.'
        ) from None

    class Loader(yaml.BaseLoader):
        """Keeps all values of a repeated key."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
            pairs = [
                (self.construct_object(key, True), self.construct_object(value, True)) for key, value in node.value
            ]
            return join_pairs([(str(key), value) for key, value in pairs])

    try:
        documents = list(yaml.load_all(file.text(), Loader))
    except (yaml.YAMLError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise CorpusError(f"{file.path}{place}: not valid YAML ({problem or error}); fix the file.") from error
    return documents[0] if len(documents) == 1 else documents
