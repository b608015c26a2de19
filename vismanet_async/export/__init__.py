"""Exports: listings written to files, whole or not at all."""
