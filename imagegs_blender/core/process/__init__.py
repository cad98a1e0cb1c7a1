"""A fit in a child process, and the kernels that are compiled ahead for it."""
