"""Things to try: a small media site, and the demo that `make demo` runs on it."""
