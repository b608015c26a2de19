"""Makes `api/resources`, `api/models`, the registry and the coverage page from the catalog. See `api/generate.py`."""
