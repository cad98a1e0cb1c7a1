"""One file per command of imagegs, and what they share."""
