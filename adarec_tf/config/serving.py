"""How the student is validated and pushed."""

from typing import Self

from pydantic import PositiveInt, model_validator

from adarec_tf.config.base import Config, Name, check


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
        ca, cert = self.server_tls_ca, self.server_tls_cert
        check(
            bool(self.server_address) or not ca,
            "server_tls_ca",
            "given with server_address alone",
            ca,
        )
        check(bool(ca) or not cert, "server_tls_cert", "given with server_tls_ca alone", cert)
        return self
