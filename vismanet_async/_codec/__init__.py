"""JSON to models and back: exact numbers, missing and null told apart, `{"value": x}`, unknown keys kept."""
