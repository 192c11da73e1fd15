"""Speed and memory, compared in one run: `make bench`, which is `python -m benchmarks`."""
