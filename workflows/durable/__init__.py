"""Durability: deliveries and jobs in one database, each job run once to its end, whatever dies in between."""
