"""What the engine is asked between two plays, so that each begins on an empty engine.

Law: only what the test's own APIs can have left is looked for, since most tests leave nothing but indices.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.parity.calls import JSON, Request
from tests.parity.player import Ask
from tests.parity.yaml_tests import Case


async def clean(case: Case, ask: Ask) -> None:
    """Remove what playing the test may have left."""
    apis = " ".join(case.apis)
    for word, requests in _SWEEPS.items():
        if word in apis:
            for request in requests:
                await ask(_delete(request))
    if "snapshot" in apis:
        await _delete_snapshots(ask)
    if "cluster.put_settings" in apis:
        await _reset_settings(ask)
    if "script" in apis:
        await _delete_scripts(ask)
    await ask(_delete("/*?expand_wildcards=all"))


_SWEEPS = {
    "data_stream": ("/_data_stream/*",),
    "scroll": ("/_search/scroll/_all",),
    "search": ("/_search/scroll/_all",),
    "pit": ("/_search/point_in_time/_all",),
    "template": ("/_template/*", "/_index_template/*", "/_component_template/*"),
    "ingest": ("/_ingest/pipeline/*",),
    "search_pipeline": ("/_search/pipeline/*",),
    "voting_config_exclusions": ("/_cluster/voting_config_exclusions?wait_for_removal=false",),
    "decommission": ("/_cluster/decommission/awareness",),
}
"""Part of an API's name -> targets to DELETE."""


async def _delete_snapshots(ask: Ask) -> None:
    repositories = await _get(ask, "/_snapshot/_all")
    for repository in repositories if isinstance(repositories, dict) else ():
        found = await _get(ask, f"/_snapshot/{repository}/_all")
        for snapshot in found.get("snapshots", ()):
            await ask(_delete(f"/_snapshot/{repository}/{snapshot['snapshot']}"))
        await ask(_delete(f"/_snapshot/{repository}"))


async def _reset_settings(ask: Ask) -> None:
    settings = await _get(ask, "/_cluster/settings?flat_settings=true")
    none = {scope: dict.fromkeys(_kept_out(settings, scope)) for scope in ("persistent", "transient")}
    if any(none.values()):
        await ask(
            Request(
                method="PUT",
                target="/_cluster/settings",
                headers=(("Content-Type", JSON),),
                body=json.dumps(none).encode(),
            )
        )


def _kept_out(settings: Any, scope: str) -> Iterator[str]:
    yield from settings.get(scope, {}) if isinstance(settings, dict) else ()


async def _delete_scripts(ask: Ask) -> None:
    metadata = await _get(ask, "/_cluster/state/metadata?filter_path=metadata.stored_scripts")
    for name in metadata.get("metadata", {}).get("stored_scripts", {}):
        await ask(_delete(f"/_scripts/{name}"))


async def _get(ask: Ask, target: str) -> Any:
    return (await ask(Request(method="GET", target=target))).value


def _delete(target: str) -> Request:
    return Request(method="DELETE", target=target)
