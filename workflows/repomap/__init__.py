"""The repo map: a commit's most relevant files and their symbols, ranked by who refers to them, in few tokens."""
