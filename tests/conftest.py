"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# how long one example takes says more about the machine than about the code; each test has its own time limit
settings.register_profile("vismanet", deadline=None)
# `make quick`: as many examples as show a slip at once
settings.register_profile("quick", deadline=None, max_examples=10)
settings.load_profile("vismanet")
