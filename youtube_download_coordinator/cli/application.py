"""Define the application with which every command registers, and its exit codes."""

from __future__ import annotations

from cyclopts import App, Group

EXIT_FAILED = 1
EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """Raised when the command receives a stop signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


WORK = Group("Work", sort_key=1)
LOOK = Group("Look", sort_key=2)
REPAIR = Group("Repair", sort_key=3)
OTHER = Group("Other", sort_key=4)

app = App(
    name="ydc",
    help="Download and process large YouTube collections on several machines, without processing any video twice.",
    group_commands=OTHER,
    suppress_keyboard_interrupt=False,  # main() reports that the claims were released
)
app.meta.suppress_keyboard_interrupt = False
app.register_install_completion_command(add_to_startup=False)
