"""How properties are checked: the same examples in every run, and no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("unit", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("unit")
