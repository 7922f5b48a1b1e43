"""Trying a ranking before everybody gets it: which users get it, and what would have become of searches."""
