"""An Elasticsearch-shaped engine over tantivy in this process: for the demo, for examples, for tests without servers.

A request goes through `rest.py` to an action (`administration.py`, `documents.py`, `searching.py`); a search is then
read by `search_body.py`, its query by `query_dsl.py`, and run by `search.py`: `query.py` matches it against `index.py`,
whose text fields `text_index.py` has inverted.
"""

from __future__ import annotations

from connectors.embedded.connector import EmbeddedConnector

__all__ = ["EmbeddedConnector"]
