"""Small tools that know nothing of HTTP."""
