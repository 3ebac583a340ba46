"""What happens and why: durable workflows from an issue to a verified pull request."""
