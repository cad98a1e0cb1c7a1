"""What a compressed .blend holds."""
