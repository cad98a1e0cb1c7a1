"""Many .blend files: which there are, what is still to be done, a process for each, and the journal of what was done."""
