"""JSON to attrs objects and back: exact numbers, missing told from null, unknown keys kept."""
