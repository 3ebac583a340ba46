"""Who paid what on a trip, and who owes whom."""
