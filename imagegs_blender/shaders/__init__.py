"""What decodes at render time."""
