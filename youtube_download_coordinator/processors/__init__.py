"""The processors that come with us, and where their files go: built_in.py begins, the others are what it is made of."""
