"""What people see of a job while it runs and when it ends: stages, one comment, labels, a check."""
