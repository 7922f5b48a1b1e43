"""The query string of a request: what may be in it, and reading its values.

Law: a parameter is read, or is on the list of those that change nothing here, or is refused, as Elasticsearch
refuses those that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectors.embedded.errors import ApiError, illegal_argument

EVERYWHERE = frozenset({"pretty", "human", "error_trace", "filter_path", "format"})
"""Read by the dispatcher, whatever the route. `human` and `error_trace` have nothing to change."""

ONE_NODE = frozenset(
    [
        "timeout",
        "master_timeout",
        "wait_for_active_shards",
        "refresh",
        "preference",
        "routing",
        "request_cache",
        "local",
        "realtime",
        "force",
        "batched_reduce_size",
        "ccs_minimize_roundtrips",
        "max_concurrent_shard_requests",
        "pre_filter_shard_size",
        "max_concurrent_searches",
        "allow_partial_search_results",
        "flush_on",
        "max_num_segments",
        "only_expunge_deletes",
        "wait_if_ongoing",
        "require_alias",
        "list_executed_pipelines",
        "include_source_on_error",
        "expand_wildcards",
    ]
)
"""Parameters about shards, nodes and waiting: with one node, one shard and immediate writes they change nothing."""


class Parameters:
    """The parameters of one request. `refuse_unread` at the end finds those that nobody asked for."""

    def __init__(self, path: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the decoded pairs of the query string; of a repeated name the last one counts."""
        self._path = path
        self._pairs = dict(pairs)
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """Return a parameter's value, or None when it is not there."""
        self._read.add(name)
        return self._pairs.get(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return whether a parameter is true; one without a value is."""
        value = self.text(name)
        if value is None:
            return default
        if value not in ("", "true", "false"):
            raise illegal_argument(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")
        return value != "false"

    def integer(self, name: str) -> int | None:
        """Return a parameter as an integer, or None when it is not there."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise illegal_argument(f"Failed to parse int parameter [{name}] with value [{value}]") from None

    def names(self, name: str) -> list[str] | None:
        """Return a comma-separated parameter as a list, or None when it is not there."""
        value = self.text(name)
        return None if value is None else [one for one in value.split(",") if one]

    def ignore(self, names: Iterable[str]) -> None:
        """Take these parameters for read."""
        self._read.update(names)

    def refuse_unread(self) -> None:
        """Raise `ApiError` 400 for the parameters that nothing has read and that would change something."""
        unread = sorted(set(self._pairs) - self._read - EVERYWHERE - ONE_NODE)
        if unread:
            plural = "s" if len(unread) > 1 else ""
            listed = "], [".join(unread)
            raise illegal_argument(f"request [{self._path}] contains unrecognized parameter{plural}: [{listed}]")


def refuse_without_body(is_empty: bool, needed: str = "request body") -> None:
    """Raise `ApiError` 400 when a request that needs a body has none."""
    if is_empty:
        raise ApiError(400, "parse_exception", f"{needed} is required")
