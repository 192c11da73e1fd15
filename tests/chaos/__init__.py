"""A fleet of real processes that is killed, frozen, cut off and starved of room: `python -m tests.chaos`."""
