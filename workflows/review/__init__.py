"""Reviews of pull requests: the diff and its lines, findings and where they stand, and what is said of them. Pure."""
