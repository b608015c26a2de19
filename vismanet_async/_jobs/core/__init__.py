"""The rules of a background job, without IO: states, records, events, and which event may follow which state."""
