"""The conversation kept within its cap: measured, shrunk, retold."""
