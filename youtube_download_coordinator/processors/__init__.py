"""The built-in processors, and the storage of their files. built_in.py is the entry point."""
