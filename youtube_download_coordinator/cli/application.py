"""What every command belongs to: the application, and how it exits."""

from __future__ import annotations

from cyclopts import App

EXIT_FAILED = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130

app = App(
    name="ydc",
    help="List and process YouTube videos on a fleet of workers, never one of them twice.",
    suppress_keyboard_interrupt=False,  # we say what became of the claims
)
