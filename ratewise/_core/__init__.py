"""The seam's inside: how a stack is composed, and what its layers share."""
