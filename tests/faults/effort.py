"""How much is done: what fits into the tests of every day, or what the environment says (`make faults`)."""

import os
from typing import Final

SEARCHES: Final = int(os.environ.get("RERANK_FAULTS_SEARCHES", "300"))
"""Searches while the scorer is killed, and as many while it is stopped."""

IS_LONG: Final = SEARCHES >= 10_000
"""Whether real nodes are started and stopped, too."""

BULK_BYTES: Final = int(os.environ.get("RERANK_FAULTS_BULK_BYTES", str(256 * 1024)))
"""Weight of a bulk request; more than the buffers of a connection hold."""
