"""What HTTP says, apart from any HTTP library. Pure."""
