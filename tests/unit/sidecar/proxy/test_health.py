"""The probes: live, startup and ready."""

import json

import pytest

from sidecar.proxy.endpoints import EndpointRequest
from sidecar.proxy.health import Health


async def probe(health: Health, name: str, method: str = "GET") -> tuple[int, str]:
    """Return status and word of a probe."""
    path = f"/_rerank/{name}"
    request = EndpointRequest(method=method, path=path, headers=(), body=b"")
    answer = await health.endpoints()[method, path](request)
    return answer.status, json.loads(answer.body)["status"]


@pytest.mark.parametrize(
    ("is_started", "has_scorer", "is_strict", "is_draining", "startup", "ready"),
    [
        (False, False, False, False, (503, "starting"), (503, "starting")),
        (True, True, False, False, (200, "started"), (200, "ready")),
        (True, False, False, False, (200, "started"), (200, "ready")),
        (True, False, True, False, (200, "started"), (503, "no scorer")),
        (True, True, True, False, (200, "started"), (200, "ready")),
        (True, True, False, True, (200, "started"), (503, "draining")),
    ],
    ids=["starting", "up", "lost its scorer", "lost its scorer, strict", "up, strict", "draining"],
)
async def test_probes(
    is_started: bool,
    has_scorer: bool,
    is_strict: bool,
    is_draining: bool,
    startup: tuple[int, str],
    ready: tuple[int, str],
) -> None:
    """`ready` needs the scorer only in strict mode, and nothing needs the engine."""
    health = Health(
        is_started=lambda: is_started, has_scorer=lambda: has_scorer, is_strict=is_strict, is_draining=is_draining
    )
    assert (200, "live") == await probe(health, "live")
    assert startup == await probe(health, "startup")
    assert ready == await probe(health, "ready")


async def test_probes_can_be_asked_by_head() -> None:
    """Some load balancers do."""
    health = Health(is_started=lambda: True, has_scorer=lambda: True)
    assert (200, "ready") == await probe(health, "ready", "HEAD")
