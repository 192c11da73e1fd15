"""Storage of files in a local folder or in object storage, behind one contract (place.py)."""
