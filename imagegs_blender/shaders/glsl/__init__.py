"""The decoder as a compute shader."""
