"""Rows of a list as columns: which there are, how values get into them, and Arrow tables.

`schema` says what the columns are, `coerce` fits values into them, `arrow` reads rows, and `frames` makes tables of
whole lists. Exports write the same columns to files.
"""
