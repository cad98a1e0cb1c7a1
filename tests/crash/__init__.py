"""Programs that are killed, and disks that are full: make crash-test."""
