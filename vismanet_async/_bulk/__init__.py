"""Bulk writes: thousands of rows, each written down before it is sent, so that none is lost and none is sent twice."""
