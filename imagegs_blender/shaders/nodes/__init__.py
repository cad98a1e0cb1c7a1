"""The decoder as plain shader nodes."""
