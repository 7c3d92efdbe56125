"""Settings of `caption-tx serve`: where it listens, who may use it, and how much it accepts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from caption_tx.config.fields import POSITIVE, Bounds, check, setting, validate
from caption_tx.errors import ConfigError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Hosts that only programs on this machine can reach."""


TOKEN_ENV_VAR = "CAPTION_TX_TOKEN"
"""Environment variable with the token, which other users of the machine cannot see."""


@dataclass(frozen=True)
class ServingOptions:
    """How captions are served over HTTP.

    Attributes:
        token: what a client must send as `Authorization: Bearer TOKEN`; None for no check.
        ray: address of a Ray cluster that computes the captions; None for this process.

    Raises:
        ConfigError: a value has the wrong type or is out of range, or a public address has neither a token nor
            `no_token`, `ray` and `replicas` are not given together, or `ray` is for machines outside the cluster.

    Example:
        >>> ServingOptions(host="0.0.0.0", token="correct horse battery").is_loopback
        False
    """

    host: str = setting("127.0.0.1", "address to listen on", flag="--host", metavar="ADDRESS")
    port: int = setting(
        7860, "port to listen on; 0 for any free one", flag="--port", bounds=Bounds(minimum=0, below=65536)
    )
    token: str | None = setting(
        None,
        "require this token of every client, at least 16 characters; "
        "the environment variable CAPTION_TX_TOKEN hides it from other users of this machine",
        flag="--token",
    )
    no_token: bool = setting(
        False, "let everybody who can reach the address use the server; or use a token", flag="--no-token"
    )
    allow_host: tuple[str, ...] = setting(
        (),
        "names by which clients reach the server, e.g. captions.example.org behind a proxy",
        flag="--allow-host",
        metavar="NAME,..",
    )
    max_batch: int = setting(
        16, "most images that are searched together", flag="--max-batch", bounds=Bounds(minimum=1, maximum=32)
    )
    queue: int = setting(
        64, "images that may be in progress; further requests are told to try again", flag="--queue", bounds=POSITIVE
    )
    max_image_mb: int = setting(
        20, "largest image file, in MB", flag="--max-image-mb", bounds=Bounds(minimum=1, maximum=512)
    )
    ray: str | None = setting(
        None,
        "compute the captions on a Ray cluster: host:6379, auto (the one on this machine), or local (start one here); "
        "requires replicas",
        flag="--ray",
        metavar="ADDRESS",
    )
    replicas: int | None = setting(
        None, "number of processes with a copy of the bundles that Ray starts", flag="--replicas", bounds=POSITIVE
    )

    def __post_init__(self) -> None:
        validate(self)
        check(self.host.strip() == self.host != "", "host", self.host, "an address such as 127.0.0.1")
        names = self.allow_host
        check(all(name.strip() for name in names), "allow_host", names, "a list without empty names")
        if self.replicas is not None and self.ray is None:
            raise ConfigError("replicas requires ray, the address of the cluster that starts them.")
        if self.ray is not None and self.replicas is None:
            raise ConfigError("ray requires replicas, the number of processes that it starts.")
        if (self.ray or "").startswith("ray://"):  # a driver outside the cluster, which Ray Serve supports poorly
            raise ConfigError(
                f"ray must be the address of a cluster that this machine belongs to, such as auto, got '{self.ray}'; "
                "start the server on a machine of the cluster."
            )
        if self.token is not None:
            if self.no_token:
                raise ConfigError("token and no_token are incompatible; leave out one of them.")
            valid = len(self.token) >= 16 and self.token.isascii() and self.token.isprintable()
            if not valid or self.token.strip() != self.token:
                raise ConfigError("token must have at least 16 printable ASCII characters without spaces around them.")
        elif not self.is_loopback and not self.no_token:
            raise ConfigError(
                f"Other machines can reach {self.host}: set token, or no_token to let everybody use the server."
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"
