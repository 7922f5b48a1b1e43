"""A pytest plugin for elasticsearch-py's runner: a node without data streams is wiped between tests all the same.

The runner deletes all data streams before and after every test; the node of these tests lacks that module and refuses.
Nothing is asked then: there is none.
"""

from typing import Any

from elasticsearch._sync.client.indices import IndicesClient


def none_to_delete(self: IndicesClient, **options: Any) -> None:
    """Do nothing."""
    del self, options


IndicesClient.delete_data_stream = none_to_delete  # type: ignore[assignment,method-assign]
