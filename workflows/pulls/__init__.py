"""Work on a pull request: its change read, one more commit made, and saved when people push meanwhile."""
