"""What an explanation of the page adds to its scores: how the model read the first hits.

Law: asked for by the caller, for the page alone, and after its ranking is settled. It costs about what scoring these
hits cost, so that it is bounded in hits and in seconds; what is not known by then is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from sidecar import response
from sidecar.plan import Plan
from sidecar.response import Placed
from sidecar.scoring.alignments import align

HITS: Final = 20
"""Hits of a page that are explained so far."""

HITS_AT_ONCE: Final = 5
"""Hits of one call: between two calls other searches are scored."""

SECONDS: Final = 2.0


async def with_alignments(scorer: object, plan: Plan, placed: Sequence[Placed]) -> tuple[list[Placed], float]:
    """Return the ranking, and the seconds that this took.

    The first scored hits of the page know how the model read them, where it says so.
    """
    began = time.monotonic()
    explained = list(placed)
    places = [plan.offset + place for place, each in enumerate(response.on_page(plan, placed)) if each.scored]
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            for first in range(0, min(HITS, len(places)), HITS_AT_ONCE):
                some = places[first : min(first + HITS_AT_ONCE, HITS)]
                found = await align(scorer, plan.query, [response.text_read(placed[place]) for place in some])
                if found is None:
                    break
                for place, alignment in zip(some, found, strict=True):
                    explained[place] = replace(placed[place], alignment=alignment)
    return explained, time.monotonic() - began
