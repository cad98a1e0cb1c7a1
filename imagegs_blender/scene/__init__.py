"""What is read from a .blend, and what is changed in it."""
