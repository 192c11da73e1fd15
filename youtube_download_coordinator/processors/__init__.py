"""The built-in processors and where their files go. built_in.py is the entry; it uses the other modules."""
