"""Exports: listings written to files, whole or not at all.

`plan` says what to do, `run` does it: pages go through `sinks` into `target`'s staging area, `checkpoint` notes what
is there, and at the end `target` publishes it with the `manifest` last.
"""
