"""Coded streams of versions 1 and 2, which older programs wrote: read as ever, and written back as they were."""
