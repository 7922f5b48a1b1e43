"""How the Python of a program that serves is set, once it has started. Global to the process: no library calls it.

Sources: the documentation of `gc.freeze` and `sys.setswitchinterval`.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

SWITCH_SECONDS: Final = 0.001
"""A thread that wakes up waits at most this long for another that computes in Python; usually it is five times as much.
The thread that feeds a GPU wakes up every two milliseconds."""


def settle() -> None:
    """Leave what is loaded out of every later search for garbage, and let threads take turns more often.

    A full collection walks every object there is: with torch and a model loaded these are hundreds of thousands, which
    takes as long as several batches, and none of them will ever be garbage.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
