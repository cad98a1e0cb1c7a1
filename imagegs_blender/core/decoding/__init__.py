"""Pixels from Gaussians at any resolution and level of detail, and the tables that shaders read."""
