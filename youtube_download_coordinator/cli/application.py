"""What every command belongs to: the application, and how it exits."""

from __future__ import annotations

from cyclopts import App, Group

EXIT_FAILED = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130

WORK = Group("Work", sort_key=1)
LOOK = Group("Look", sort_key=2)
REPAIR = Group("Repair", sort_key=3)
OTHER = Group("Other", sort_key=4)

app = App(
    name="ydc",
    help="List and process YouTube videos on a fleet of workers, never one of them twice.",
    group_commands=OTHER,
    suppress_keyboard_interrupt=False,  # we say what became of the claims
)
app.meta.suppress_keyboard_interrupt = False
app.register_install_completion_command(add_to_startup=False)
