"""AWS: requests signed with Signature Version 4, for Amazon OpenSearch Service (`es`) and Serverless (`aoss`).

Law: what is signed is what is sent, and nothing else of a request is touched. botocore finds the credentials
(environment, profile, container, instance), renews them, and computes the signature; it is asked for when it is needed
only. Signed are the host and the `X-Amz-…` headers, so that no hop in between breaks it with a header of its own.

*Sources:* "Signing and authenticating REST requests", "Signing HTTP requests to Amazon OpenSearch Serverless" (AWS).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl

from connectors.base import Headers, header, without_headers
from connectors.errors import EngineUnavailable

SERVICES: Final = ("es", "aoss")
_SCHEME: Final = "AWS4-"
_OF_A_SIGNATURE: Final = ("X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256", "X-Amz-Region-Set")
_PRESIGNED: Final = "X-Amz-Signature="


class AwsSigner:
    """Signs requests with the credentials that botocore finds."""

    def __init__(self, region: str, service: str = "es", *, session: Any = None) -> None:
        """Sign for `service` in `region`, such as "eu-central-1". `session` is a botocore session other than a new one.

        Raises:
            ImportError: botocore is not installed.
        """
        import botocore.session

        self._region = region
        self._service = service
        self._session = session or botocore.session.get_session()
        self._credentials: Any = None

    async def sign(self, method: str, url: str, target: str, headers: Headers, body: bytes) -> Headers:
        """Return `headers` with a signature of the request `method target` to the node at `url`.

        A caller's own `Authorization` stays, but for another AWS signature; so does a signature in the target.

        Raises:
            EngineUnavailable: there are no credentials.
        """
        given = header(headers, "Authorization")
        if _PRESIGNED in target or (given is not None and not given.strip().upper().startswith(_SCHEME)):
            return headers
        credentials = await self._fresh_credentials()
        bare = without_headers(headers, "Authorization", *_OF_A_SIGNATURE)
        return (*bare, *self._signature(credentials, method, url, target, body))

    def _signature(self, credentials: Any, method: str, url: str, target: str, body: bytes) -> Headers:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        path, _, query = target.partition("?")
        request = AWSRequest(
            method=method,
            url=url + path.partition("#")[0],
            data=body,
            headers={"X-Amz-Content-SHA256": sha256(body).hexdigest()},
            # decoded, since AWS encodes them in its own way: of "," and "%2C" it makes the same
            params=parse_qsl(query.partition("#")[0], keep_blank_values=True),
        )
        SigV4Auth(credentials, self._service, self._region).add_auth(request)
        return tuple(request.headers.items())

    async def _fresh_credentials(self) -> Any:
        """Return credentials that are not about to expire. What may ask a network service does so in a thread."""
        if self._credentials is None:
            self._credentials = await _asked(self._session.get_credentials)
        if self._credentials is None:
            raise EngineUnavailable("botocore finds no AWS credentials to sign requests with")
        needs_refresh = getattr(self._credentials, "refresh_needed", None)
        if needs_refresh is not None and needs_refresh():
            return await _asked(self._credentials.get_frozen_credentials)
        return self._credentials.get_frozen_credentials()


async def _asked(question: Callable[[], Any]) -> Any:
    from botocore.exceptions import BotoCoreError

    try:
        return await asyncio.to_thread(question)
    except BotoCoreError as error:
        raise EngineUnavailable(f"botocore gets no AWS credentials: {error}") from error
