"""Every error of the HTTP API has a code, and every code a Chinese sentence. No model is loaded."""

import re
import string

import pytest

from caption_tx.errors import (
    BundleError,
    CaptionTxError,
    CorpusError,
    ImageError,
    MissingImageError,
    TooManyPixelsError,
)
from caption_tx.serve.pages import live_strings
from caption_tx.serve.problems import CODES, HttpError, code_of, problem_response


def test_every_code_has_a_chinese_sentence():
    chinese, english = (live_strings(language)["script"]["errors"] for language in ("zh", "en"))
    assert chinese.keys() == CODES.keys() and english == {}
    for text in chinese.values():
        assert re.search("[一-鿿]", text)
        assert {name for _, name, _, _ in string.Formatter().parse(text) if name} <= {"error", "limit", "pixels"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TooManyPixelsError, "too_many_pixels"),
        (MissingImageError, "unreadable_image"),
        (ImageError, "unreadable_image"),
        (BundleError, "unusable_bundle"),
        (CorpusError, "invalid_request"),
        (CaptionTxError, "invalid_request"),
    ],
)
def test_the_code_of_an_exception_is_that_of_its_closest_class(error, code):
    assert code_of(error("a message")) == code


def test_only_errors_that_pass_ask_to_try_again():
    again = {code for code in CODES if "retry-after" in problem_response(HttpError(code, "a message")).headers}
    assert again == {"queue_full", "server_busy", "decoding_timeout", "no_answer"}
