"""Which node's turn it is, while somebody sets the clock."""

from types import SimpleNamespace

import pytest
from elastic_transport import BaseNode, NodeConfig, _node_pool

from connectors import node_pool
from connectors.node_pool import SteadyNodePool

HOUR = 3600.0


class Clocks:
    """The time of day, which can be set, and the time that passes."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.day, self.passed = 1_700_000_000.0, 5_000.0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.day += seconds
        self.passed += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks for the pool."""
    clocks = Clocks()
    monkeypatch.setattr(_node_pool, "time", SimpleNamespace(time=lambda: clocks.day))
    monkeypatch.setattr(node_pool, "time", SimpleNamespace(monotonic=lambda: clocks.passed))
    return clocks


@pytest.fixture
def pool() -> SteadyNodePool:
    """Two nodes."""
    configs = [NodeConfig("http", name, 9200) for name in ("a", "b")]
    return SteadyNodePool(configs, node_class=BaseNode, randomize_nodes=False)


def turns(pool: SteadyNodePool) -> set[str]:
    """Return whose turn it is, four times."""
    return {pool.get().config.host for _ in range(4)}


@pytest.mark.parametrize("jump", [0.0, HOUR, -HOUR, -1_700_000_000.0])
def test_a_dead_node_is_left_out_for_its_time(clocks: Clocks, pool: SteadyNodePool, jump: float) -> None:
    """No longer when the clock is set back, and no shorter when it is put forward."""
    pool.mark_dead(next(node for node in pool.all() if node.config.host == "a"))
    clocks.day += jump
    assert {"b"} == turns(pool)
    clocks.sleep(0.9)
    assert {"b"} == turns(pool)
    clocks.sleep(0.2)
    assert {"a", "b"} == turns(pool)


def test_when_all_are_dead_one_is_tried(clocks: Clocks, pool: SteadyNodePool) -> None:
    """The one that was left out first."""
    for node in pool.all():
        pool.mark_dead(node)
        clocks.sleep(0.1)
    clocks.day -= HOUR
    assert "a" == pool.get().config.host
