"""The error about a caption that is no text."""

from __future__ import annotations

from caption_tx.data.corpus.values.name_lists import list_names


class NotTextError(Exception):
    """A caption is no text; the argument is the value."""

    def explain(self, advice: str = "") -> str:
        """What was found, and what to do.

        Args:
            advice: on keys with texts beside it, ending in ", or ".

        Example:
            >>> NotTextError({"zh": "一只狗", "en": "a dog"}).explain()
            "the caption is an object with the keys 'zh, en'; write one of them as text"
        """
        found = self.args[0]
        if isinstance(found, dict):
            return (
                f"the caption is an object with the keys {list_names(found, 60)!r}; {advice}write one of them as text"
            )
        return f"a caption must be a string, found {str(found)[:60]!r}; fix it"
