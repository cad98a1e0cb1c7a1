"""The .igs file: Gaussians as integer codes, and codes as bytes (docs/format.md)."""
