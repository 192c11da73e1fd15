"""Examples: a small media site, the demo that `make demo` runs on it, and your own processors and flows."""
