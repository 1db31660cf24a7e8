"""A long run of requests with faults, cancellations and a fork in the middle: `python -m tests.soak`, or `nox -s soak`."""
