"""A base branch merged into a pull request: the merge as a commit of ours, and its conflicts."""
