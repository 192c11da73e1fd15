"""Measure speed and memory, and compare them in one run: `make bench`, which is `python -m benchmarks`."""
