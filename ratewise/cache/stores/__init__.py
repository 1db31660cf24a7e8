"""The stores of responses."""
