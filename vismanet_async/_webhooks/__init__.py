"""Webhooks: signatures, events, a receiver, and what has changed."""
