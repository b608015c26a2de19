"""Background jobs that survive crashes: intents written first, results kept for good, one schedule."""
