"""Exceptions for failures that the user can fix."""


class CaptionTxError(Exception):
    """Base class of all expected failures.

    The message is one line: what was expected, what was found (file, line or value), and what to do.
    The command line prints it and exits with 1.
    """


class ConfigError(CaptionTxError):
    """A setting is unknown, has the wrong type or is out of range, or options are incompatible."""


class DownloadError(ConfigError):
    """Weights cannot be downloaded, and no other source of them is named.

    Attributes:
        reason: why the download failed, in a few words.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class CorpusError(CaptionTxError):
    """A caption file does not match its layout."""


class ImageError(CaptionTxError):
    """An image cannot be read. The message names the file and the reason."""


class MissingImageError(ImageError):
    """An image does not exist. Any other `ImageError` is about an image that exists and cannot be read."""


class TooManyPixelsError(ImageError):
    """An image has more pixels than the limit."""


class CaptionError(CaptionTxError):
    """A caption to explain contains no words, or more than the model reads."""


class NoCaptionError(CaptionTxError):
    """A search found no caption of an image."""


class CacheError(CaptionTxError):
    """A feature cache is missing, incomplete or damaged, or belongs to another backbone."""


class BundleError(CaptionTxError):
    """A bundle is missing, incomplete or damaged, or does not match its backbone."""


class FontError(CaptionTxError):
    """No installed font can draw a text. The message names the characters and what to install."""
