"""Contain the backends of the Store contract. Each is imported only when it is chosen."""
