"""One request, done right: sessions, tokens, quota, concurrency, retries, deadlines."""
