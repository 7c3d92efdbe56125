"""What can go wrong for a reason the person at the keyboard can act on."""


class CaptionTxError(Exception):
    """Base of every expected failure.

    The message says what was expected, what was found (file, line or value), and
    what to do about it. The command line prints it as one line and exits with 1.
    """


class ConfigError(CaptionTxError):
    """A setting is unknown, of the wrong type, or out of range."""


class CorpusError(CaptionTxError):
    """A caption file cannot be read as the layout it was taken for."""


class ImageError(CaptionTxError):
    """One image cannot be read; the message names the file and the reason."""


class MissingImageError(ImageError):
    """There is no such image. Any other `ImageError` is about an image that exists and cannot be read."""


class CacheError(CaptionTxError):
    """A feature cache is missing, incomplete, damaged, or made by another backbone."""


class BundleError(CaptionTxError):
    """A bundle is missing, incomplete, damaged, or does not fit the backbone at hand."""


class FontError(CaptionTxError):
    """No font at hand can draw a text; the message names the characters and what to install."""
