"""The decoder as an OSL script node."""
