"""The agent: a long-horizon loop of model replies and tool results."""
