"""What the adapters of both HTTP libraries, httpx and httpx2, share. Imports neither of them."""
