"""Who may call: whoever shows the key.

Law: the key is compared in constant time, never printed, and asked for before a body is looked at.
"""

from __future__ import annotations

import hmac

from connectors.base import Headers, header
from sidecar.rerank_api.reply import Reply
from sidecar.rerank_api.writing import ErrorWriter, error_for_everybody

CHALLENGE = ("WWW-Authenticate", "Bearer")


class ApiKey:
    """A key that callers send as `Authorization: Bearer KEY`; without one everybody may call."""

    def __init__(self, key: str | None, *, setting: str = "api.key") -> None:
        """Ask for `key`, the value of a `setting`."""
        self._key = None if key is None else key.encode()
        self._setting = setting

    def refusal(self, headers: Headers, write: ErrorWriter = error_for_everybody) -> Reply | None:
        """Return the answer to a caller without the key, None for one who has it."""
        if self._key is None:
            return None
        scheme, _, shown = (header(headers, "authorization") or "").strip().partition(" ")
        is_bearer = scheme.lower() == "bearer"
        if is_bearer and hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), self._key):
            return None
        got = "another key" if is_bearer and shown else "no key"
        message = f"got {got}, expected the header Authorization: Bearer KEY with the key of {self._setting}"
        body = write(message, type="authentication_error", param=None, code="invalid_api_key")
        return Reply(status=401, body=body, headers=(CHALLENGE,))
