"""Where untrusted code runs: disposable containers, their images, their set-up and their only way out."""
