"""A texture stack in, a stream and a report out."""
