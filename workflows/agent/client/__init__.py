"""The model client: one whole reply from an OpenAI-compatible endpoint, whatever its quirks."""
