"""A range of versions: which commits it means, what is in it, and its notes."""
