"""The command imagegs: one file per command, and what they share."""
