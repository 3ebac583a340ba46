"""A change on its way to GitHub: its texts, the template of the repository, the branch and the pull request."""
