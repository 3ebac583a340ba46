"""What reviewers ask for on a pull request of ours: collected in rounds, and what became of each point."""
