"""Trying a ranking before everybody gets it: who gets it, what would have become of searches, and what people click."""
