"""The files of the page, as they lie in the folder `page`.

Law: nothing is put together on the server, so that no answer of an engine can become markup. The policy sent along
allows scripts and styles of this origin only, and no string that a script would turn into markup.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from connectors.base import Headers
from sidecar.proxy.endpoints import Endpoint, EndpointRequest, EndpointResponse, Endpoints

PAGE_PATH: Final = "/_rerank/"
FILES_PATH: Final = "/_rerank/playground/"

CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

HEADERS: Final[Headers] = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
)

_PAGE: Final = Path(__file__).parent / "page"
_INDEX: Final = "index.html"


def page_files() -> Endpoints:
    """Return the page and its files, for GET and HEAD."""
    found: dict[tuple[str, str], Endpoint] = {}
    for file in sorted(_PAGE.iterdir()):
        if file.suffix not in CONTENT_TYPES:
            continue
        path = PAGE_PATH if file.name == _INDEX else FILES_PATH + file.name
        for method in ("GET", "HEAD"):
            found[method, path] = _endpoint(file.read_bytes(), CONTENT_TYPES[file.suffix])
    return found


def _endpoint(body: bytes, content_type: str) -> Endpoint:
    async def endpoint(_: EndpointRequest) -> EndpointResponse:
        return EndpointResponse(body=body, content_type=content_type, headers=HEADERS)

    return endpoint
