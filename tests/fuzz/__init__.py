"""What strangers may send: streams, images and properties that are damaged on purpose.

A short run is part of `make test`; `make fuzz MINUTES=60` is a long one. What was found became a test of its room.
"""
