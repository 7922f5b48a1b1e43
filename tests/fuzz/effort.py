"""How much is played: what fits into the tests of every day, or what the environment says."""

import os
from typing import Final

EXAMPLES: Final = int(os.environ.get("RERANK_FUZZ_EXAMPLES", "0"))
"""Cases per engine and per property; 0 = the short form, whose cases are always the same."""

SEED: Final = int(os.environ.get("RERANK_FUZZ_SEED", "0"))
