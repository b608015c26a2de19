"""Makes resources, models, the registry and the coverage page from the catalog. See `_api/generate.py`."""
