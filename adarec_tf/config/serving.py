"""How the student is validated and pushed."""

from typing import Self

from pydantic import PositiveInt, model_validator

from adarec_tf.config.base import Config, Name


class ServingConfig(Config):
    """How the student is validated and pushed."""

    model_name: Name = "student"
    """Name that requests give."""
    keep_versions: PositiveInt = 5
    """Pushed versions that are kept; older ones are deleted."""
    server_address: str = ""
    """HOST:PORT of a running server that watches the pushed folder: a version that does not answer
    there is taken back; empty: no server is asked."""
    server_tls_ca: str = ""
    """PEM file that says who signs that server's certificate; empty: plain text."""
    server_tls_cert: str = ""
    """PEM file of a certificate to show the server, where it asks for one, and of its key."""

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        for name, needed in (
            ("server_tls_ca", "server_address"),
            ("server_tls_cert", "server_tls_ca"),
        ):
            is_met = bool(getattr(self, needed)) or not getattr(self, name)
            self.require(is_met, name, f"given with {needed} alone")
        return self
