"""TLS of the server's port: its certificate, and optionally only clients with one of their own."""

from pathlib import Path

import grpc

from serving.server_options import ServerOptions, ServingError


def server_credentials(options: ServerOptions) -> grpc.ServerCredentials:
    """Credentials of a port with TLS.

    Args:
      options: with `tls_cert` and `tls_key`; with `tls_client_ca`, clients have to show a
        certificate signed by it.

    Raises:
      ServingError: a file cannot be read.
    """
    client_ca = _read(options.tls_client_ca) if options.tls_client_ca else None
    return grpc.ssl_server_credentials(
        [(_read(options.tls_key), _read(options.tls_cert))],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ServingError(f"The file for TLS should be readable: {error}") from error
