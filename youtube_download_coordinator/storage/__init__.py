"""Where files go: a local folder or object storage, behind one contract (place.py)."""
