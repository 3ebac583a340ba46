"""Failed checks: their logs read, and why they failed."""
