"""What a repository is and allows: policy, language, tests, set-up, guidance; read from its base commit."""
