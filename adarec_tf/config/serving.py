"""How the student is validated and pushed."""

from dataclasses import dataclass

from adarec_tf.config.base import JsonConfig, check, check_positive_integer


@dataclass(frozen=True, kw_only=True)
class ServingConfig(JsonConfig):
    """How the student is validated and pushed."""

    model_name: str = "student"
    num_validation_requests: int = 16
    keep_versions: int = 5  # older pushed versions are deleted
    # HOST:PORT of a running server that watches the pushed folder: a version that does not answer
    # there is taken back. "" asks none.
    server_address: str = ""
    server_tls_ca: str = ""  # PEM file: who signs that server's certificate; "" is for plain text
    server_tls_cert: str = ""  # PEM files: a certificate to show it, where it asks for one,
    server_tls_key: str = ""  # and its key

    def __post_init__(self) -> None:
        check_positive_integer(self, "num_validation_requests", "keep_versions")
        check(bool(self.model_name), "model_name", "a non-empty name", self.model_name)
        check(
            bool(self.server_address) or not self.server_tls_ca,
            *("server_tls_ca", "given with server_address alone", self.server_tls_ca),
        )
        check(
            bool(self.server_tls_ca) or not self.server_tls_cert,
            *("server_tls_cert", "given with server_tls_ca alone", self.server_tls_cert),
        )
        check(
            bool(self.server_tls_cert) == bool(self.server_tls_key),
            *("server_tls_key", "given with server_tls_cert", self.server_tls_key),
        )
