"""Loads the sample corpus into an engine: `python load.py http://elasticsearch:9200`.

Runs inside the image, beside the installed program, with nothing but the standard library. Its one law: run again, it
leaves the same index. It waits for the engine, but not for ever.
"""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 120.0  # an engine that has no answer by then has a problem that its own log explains
PAUSE_SECONDS = 1.0
SETTINGS = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}


class LoadError(Exception):
    """The corpus is not in the engine; the message says what the engine answered."""


def load(url: str, *, index: str, documents: Path, patience: float = PATIENCE_SECONDS) -> int:
    """Put the documents, one JSON object a line with its `_id`, into the index and return how many it then holds.

    Raises: LoadError when the engine does not answer in time, refuses something, or counts other than what was sent.
    """
    _await(url, patience)
    _call(url, "PUT", f"/{index}", json.dumps(SETTINGS), accepted=(200, 400))  # 400: it exists already
    operations = [line for document in _read(documents) for line in _operation(document)]
    answer = _call(url, "POST", f"/{index}/_bulk?refresh=true", "".join(f"{line}\n" for line in operations))
    if answer["errors"]:
        raise LoadError(f"refused: {next(item for item in answer['items'] if 'error' in item['index'])}")
    count = int(_call(url, "GET", f"/{index}/_count")["count"])
    if count < len(operations) // 2:  # more may be left of another version of the corpus
        raise LoadError(f"{index} holds {count} documents, sent were {len(operations) // 2}")
    return count


def _read(documents: Path) -> Iterator[dict[str, Any]]:
    with documents.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _operation(document: dict[str, Any]) -> tuple[str, str]:
    source = {name: value for name, value in document.items() if name != "_id"}
    return json.dumps({"index": {"_id": document["_id"]}}), json.dumps(source)


def _await(url: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            _call(url, "GET", "/")
        except (OSError, http.client.HTTPException, LoadError) as error:
            if time.monotonic() >= deadline:
                raise LoadError(f"{url} gave no answer for {patience:.0f} s: {error}") from error
            time.sleep(PAUSE_SECONDS)  # noqa: TID251 -- a script that has nothing else to do
        else:
            return


def _call(url: str, method: str, path: str, body: str | None = None, *, accepted: tuple[int, ...] = (200,)) -> Any:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status not in accepted:
        raise LoadError(f"{method} {path}: {answer.status} {text}")
    return json.loads(text)


def main() -> int:
    """Load the packaged corpus into the engine that the command line names; return the exit code."""
    from sidecar import sample

    if len(sys.argv) != 2:
        sys.stderr.write("usage: python load.py http://elasticsearch:9200\n")
        return 2
    url = sys.argv[1]
    try:
        count = load(url, index=sample.INDEX, documents=sample.documents_path())
    except (LoadError, OSError) as error:
        sys.stderr.write(f"load: {error}\n")
        return 1
    sys.stdout.write(f"load: {sample.INDEX} at {url} holds {count} documents\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
