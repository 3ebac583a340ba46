"""The edge: HTTP, GitHub, the terminal and the environment."""
