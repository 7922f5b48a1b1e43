"""HTTP in and out. Knows connectors, not models."""
