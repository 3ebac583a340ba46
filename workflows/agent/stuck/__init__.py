"""A session that goes round in circles: how it is told, and what is done about it."""
