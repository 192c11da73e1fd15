"""Backends of the Store contract, one file each, imported only when chosen."""
