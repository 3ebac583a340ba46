"""From a base commit and a task to a verified change: containers, sessions, attempts. Needs no GitHub."""
