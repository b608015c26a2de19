"""Makes `api/resources`, `api/models`, `api/registry` and `docs/coverage.md` from the catalog. See `api/generate.py`."""
