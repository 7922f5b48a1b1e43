"""Signatures and digests that a caller puts over its request: what they cover must arrive as it was sent.

Law: in doubt the body is covered. *Sources:* AWS Signature Version 4 and 4A (in the header or, presigned, in the URL),
RFC 9421 (HTTP Message Signatures) and the draft before it, RFC 9530 (Content-Digest) and its forerunners.
"""

from __future__ import annotations

from typing import Final

from connectors.base import Headers, header, without_headers

AWS_HEADERS: Final = ("x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-region-set")
"""What a caller's AWS signature has beside `Authorization`."""

_AWS_SCHEME: Final = "aws4-"
_AWS_PARAM: Final = "x-amz-signature"
_SIGNATURE_SCHEME: Final = "signature "
_COVERING: Final = ("Signature", "Signature-Input", "Content-Digest", "Digest", "Content-MD5", AWS_HEADERS[2])


def covers_body(headers: Headers, params: tuple[tuple[str, str], ...]) -> bool:
    """Return whether a signature or a digest of the caller's covers the body of a request."""
    scheme = (header(headers, "Authorization") or "").strip().lower()
    is_signed = scheme.startswith((_AWS_SCHEME, _SIGNATURE_SCHEME)) or any(header(headers, name) for name in _COVERING)
    return is_signed or any(name.lower() == _AWS_PARAM for name, _ in params)


def without_aws(headers: Headers) -> Headers:
    """Return `headers` without an AWS signature, where they have one: whoever signs anew sends another."""
    if not (header(headers, "Authorization") or "").strip().lower().startswith(_AWS_SCHEME):
        return headers
    return without_headers(headers, "Authorization", *AWS_HEADERS)
