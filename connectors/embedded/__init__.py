"""An Elasticsearch-shaped engine over tantivy in this process. Unfinished: its REST face is still to be written."""

from __future__ import annotations

from pathlib import Path

from connectors.base import Connector


class EmbeddedConnector:
    """The embedded engine. Not usable yet."""

    @classmethod
    def from_file(cls, path: str | Path, *, index: str = "documents") -> Connector:
        """Refuse: unfinished."""
        raise ValueError(f"the embedded engine is not finished; {path} cannot be served as {index}")
