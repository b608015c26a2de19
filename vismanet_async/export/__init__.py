"""Listings written to files."""
