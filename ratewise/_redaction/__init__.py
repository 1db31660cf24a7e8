"""What a secret looks like, and what is shown instead of it. Pure."""
