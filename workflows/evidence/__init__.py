"""Evidence that the harness writes: test runs read, compared, judged, and shown."""
