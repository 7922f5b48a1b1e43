"""Texts to model scores: what a scorer is, models, batching, and scorers elsewhere."""
