"""The official clients' node pool, by a clock that nobody sets.

Law: how long a node is left out does not depend on the time of day, which may be set back by hours while we run: the
pool would leave a node out for as long.
"""

from __future__ import annotations

import time
from typing import Any

from elastic_transport import BaseNode, NodePool


class SteadyNodePool(NodePool):
    """A node pool by the monotonic clock, in seconds."""

    def mark_dead(self, node: BaseNode, _now: float | None = None) -> None:
        """Leave a node out for a while, from now on."""
        super().mark_dead(node, _now=time.monotonic() if _now is None else _now)

    def resurrect(self, force: bool = False) -> Any:
        """Return the node whose time is over, or with `force` some node, to the others; None where there is none."""
        waiting = self._dead_nodes.queue
        is_due = bool(waiting) and waiting[0][0] <= time.monotonic()
        return super().resurrect(force=True) if force or is_due else None
