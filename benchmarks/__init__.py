"""How fast fourview is here, in one command: `python -m benchmarks`."""
