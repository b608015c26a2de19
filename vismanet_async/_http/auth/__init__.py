"""Tokens: the credentials they come from, the state that decides when to renew them, and the provider that does."""
