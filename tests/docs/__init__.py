"""The documentation's code: found, run and type-checked."""
