"""Sends requests: sessions, tokens, quota, concurrency, retries, deadlines."""
