"""AWS Signature Version 4 as whoever verifies it computes it, from the request that arrived alone.

Written from the specification ("Create a signed AWS API request"), with nothing of botocore in it.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

SECRETS: Final = {"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
"""Secret keys by the id of the access key."""

_EMPTY: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Signed:
    """A request that arrived."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    def value(self, name: str) -> str:
        """The values of a header as they are signed."""
        values = [" ".join(value.split()) for key, value in self.headers if key.lower() == name]
        assert values, f"{name} is signed, and not there"
        return ",".join(values)


def verify(request: Signed, *, region: str, service: str) -> list[str]:
    """Return the names of the headers that are signed. Raises AssertionError when the signature is another one."""
    scheme, _, rest = request.value("authorization").partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    given = dict(part.strip().split("=", 1) for part in rest.split(","))
    key_id, date, *scope = given["Credential"].split("/")
    assert [region, service, "aws4_request"] == scope
    names = given["SignedHeaders"].split(";")
    assert names == sorted(names)
    assert "host" in names
    moment = request.value("x-amz-date")
    assert moment.startswith(date)
    payload = _payload(request)
    canonical = "\n".join(
        [
            request.method,
            _path(request.target.partition("?")[0]),
            _query(request.target.partition("?")[2]),
            *(f"{name}:{request.value(name)}" for name in names),
            "",
            ";".join(names),
            payload,
        ]
    )
    to_sign = "\n".join([scheme, moment, "/".join((date, *scope)), hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRETS[key_id]).encode()
    for part in (date, *scope):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
    assert expected == given["Signature"], canonical
    return names


def _payload(request: Signed) -> str:
    digest = hashlib.sha256(request.body).hexdigest()
    if any(name.lower() == "x-amz-content-sha256" for name, _ in request.headers):
        assert digest == request.value("x-amz-content-sha256")
    return digest


def _path(path: str) -> str:
    """Return a path normalised and encoded once more, as every service but S3 has it."""
    normal = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/") and normal != "/":
        normal += "/"
    return quote(normal, safe="/~")


def _query(query: str) -> str:
    pairs = [piece.partition("=") for piece in query.split("&") if piece]
    read = [(_anew(name), _anew(value)) for name, _, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(read))


def _anew(text: str) -> str:
    return quote(unquote(text.replace("+", " ")), safe="-_.~")
