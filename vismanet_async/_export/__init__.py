"""Exports: listings written to files, all or nothing.

`plan` is what to do, `run` does it: pages go through the sinks of the chosen format into the staging area of `target`,
`checkpoint` journals them, and at the end `target` publishes all files, the manifest last.
"""
