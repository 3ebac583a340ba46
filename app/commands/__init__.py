"""The `/qwen` commands: their words, how a comment is read for them, and their help. Pure: text in, values out."""
