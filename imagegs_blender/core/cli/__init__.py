"""The command imagegs: one file per command, and the parts that they share."""
