"""From a texture stack to Gaussians: where they start, how they move, when they are rounded. Knows no file format."""
