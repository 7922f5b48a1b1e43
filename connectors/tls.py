"""TLS as a client: whom to trust, and who we are.

Law: a file that is not there or holds no certificate is an error, never a connection that trusts more.
"""

from __future__ import annotations

import errno
import ssl
from pathlib import Path


def client_context(
    ca_certs: str | None = None,
    *,
    verify_certs: bool = True,
    client_cert: str | None = None,
    client_key: str | None = None,
) -> ssl.SSLContext | bool:
    """Return what aiohttp takes as `ssl`.

    `ca_certs`: file or folder of certificates to trust in place of the system's; `verify_certs` False trusts anybody;
    `client_cert`, `client_key`: our own certificate and key, for servers that ask for one.

    Raises:
        OSError: a file is not there, or is not what it should be.
    """
    if client_cert is None and (ca_certs is None or not verify_certs):
        return verify_certs
    for path in (ca_certs, client_cert, client_key):
        if path is not None and not Path(path).exists():
            raise FileNotFoundError(errno.ENOENT, "No such file or folder", path)
    context = _trusting(ca_certs)
    if not verify_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        load_key(context, client_cert, client_key)
    return context


def load_key(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    """Give `context` a certificate and its key, which may stand in one file.

    Raises:
        OSError: they are not there, do not belong together, or the key has a password.
    """
    try:
        context.load_cert_chain(cert, key, password="")  # a key with a password fails instead of asking for it
    except ssl.SSLError as error:
        raise OSError(f"{cert}: {error.reason or error} (a certificate and its key without a password?)") from error


def _trusting(ca_certs: str | None) -> ssl.SSLContext:
    is_folder = ca_certs is not None and Path(ca_certs).is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if is_folder else ca_certs, capath=ca_certs if is_folder else None
        )
    except ssl.SSLError as error:
        raise OSError(f"{ca_certs}: {error.reason or error} (a file of PEM certificates?)") from error
