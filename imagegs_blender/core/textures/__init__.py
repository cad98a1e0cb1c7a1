"""Maps in and out of files: texture stacks, image files, resampling, UDIM. No Gaussians here."""
