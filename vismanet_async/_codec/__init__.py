"""Decodes and encodes models: exact numbers, missing keys apart from null, `{"value": x}`, unknown keys kept."""
