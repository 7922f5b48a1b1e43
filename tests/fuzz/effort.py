"""How much is played: what fits into the tests of every day, or what the environment says."""

import os
from typing import Final

EXAMPLES: Final = int(os.environ.get("RERANK_FUZZ_EXAMPLES", "0"))
"""Cases per engine and per property; 0 = the short form, whose cases are always the same."""

SEED: Final = int(os.environ.get("RERANK_FUZZ_SEED", "0"))

FEWER: Final = min(EXAMPLES, 5000)
"""The same for what needs no engine, and finds what it finds sooner."""

SECONDS: Final = 0 if EXAMPLES else 60
"""How long a test may take; 0 = as long as it needs."""
