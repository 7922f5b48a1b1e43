"""Gives the test runners of the official clients the suites that lie here instead of those that they would download.

Python imports a module of this name at its start when its folder is on PYTHONPATH. Both runners ask
`urllib3.PoolManager.request` for one archive; that one question is answered, everything else goes on as it was.
"""

import io
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import urllib3

SUITES = Path(os.environ["RERANK_TEST_SUITES"])
ARCHIVES = {
    "https://github.com/opensearch-project/OpenSearch/archive/": (
        "opensearch-rest-api-spec/test",
        "OpenSearch-main/rest-api-spec/src/main/resources/rest-api-spec/test",
    ),
    "https://api.github.com/repos/elastic/elasticsearch-clients-tests/": (
        "elasticsearch-clients-tests/8.15/tests",
        "elasticsearch-clients-tests/tests",
    ),
}
"""Where a suite lies under SUITES, and under which name its runner looks for it."""

_request = urllib3.PoolManager.request


def request(self: urllib3.PoolManager, method: str, url: str, *args: Any, **options: Any) -> Any:
    """Answer with a local archive, or send the request."""
    for start, (folder, name) in ARCHIVES.items():
        if url.startswith(start):
            return SimpleNamespace(status=200, data=_archive(SUITES / folder, name))
    return _request(self, method, url, *args, **options)


def _archive(folder: Path, name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(folder.rglob("*.y*ml")):
            archive.write(file, f"{name}/{file.relative_to(folder)}")
    return content.getvalue()


urllib3.PoolManager.request = request  # type: ignore[assignment]
