"""Plans that people approve: their text, their comments, what they cite, and what they will cost."""
