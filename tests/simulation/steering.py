"""A person who types into Control: pauses, resumes, cools down, sorts, deletes, and writes values that nobody understands."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from tests.fake_google import Person
from tests.simulation.hosts import HOSTS
from tests.simulation.outages import OLD

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

CONTROL = "Control"
FLEET = "fleet"
NAMES = (FLEET, FLEET, *(f"cooldown {host}" for host in HOSTS), *(f"suspect {host} {OLD}" for host in HOSTS))
VALUES = {
    FLEET: ("paused", "Stop.", "PAUSED ", "no idea", "running", "Go on", ""),
    "cooldown": ("cooling", "Cool down", "probing", "no idea", "clear", "Lifted", ""),
    "suspect": ("suspect", "Suspect ", "probing", "watching", "no idea", "clear", ""),
}
"""What is typed into Value."""
UNTIL_SECONDS = (-30, 5, 20, 60)
NO_TIMES = ("", "", "soon", "5/6/2026")
ACTIONS = ("value", "value", "value", "until", "reason", "delete", "sort")


class Steering:
    """A person who knows the lines `fleet` and `cooldown <host>` and does not change the others."""

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._person = Person(chaos.world.book, chaos.world.title)
        self._random = Random()

    def act(self, random: Random) -> None:
        """Do one thing."""
        if not self._is_there:
            return
        self._random = random
        action, name = random.choice(ACTIONS), random.choice(NAMES)
        said = self._sort() if action == "sort" else self._at(name, action)
        if said:
            self._chaos.world.note(f"a person {said} in {CONTROL}")

    def resume(self) -> None:
        """Resume the fleet. It stays paused if only the line of the pause was deleted."""
        if not self._is_there:
            return
        if (at := self._row(FLEET)) is None:
            at = len(self._chaos.world.rows(CONTROL))
            self._person.insert_row(CONTROL, at, {"Name": FLEET})
        self._type(FLEET, at, "Value", "running")

    @property
    def _is_there(self) -> bool:
        return self._chaos.world.sheet_id(CONTROL) is not None

    def _sort(self) -> str:
        column = self._random.choice(["Name", "Value", "Until"])
        self._person.sort(CONTROL, column, descending=self._random.random() < 0.5)
        self._chaos.oracle.admissions.sorted()
        return f"sorts the lines by {column}"

    def _at(self, name: str, action: str) -> str:
        at = self._row(name)
        if at is None:
            at = len(self._chaos.world.rows(CONTROL))
            self._person.insert_row(CONTROL, at, {"Name": name.capitalize()})
            action = "value"
        if action == "delete":
            self._person.delete_row(CONTROL, at)
            self._chaos.oracle.admissions.touched(name, None)
            return f"deletes the line {name}"
        column = action.capitalize()
        text = {"value": self._value(name), "until": self._until(), "reason": "I said so"}[action]
        self._type(name, at, column, text)
        if action == "value" and self._random.random() < 0.5:
            self._type(name, at, "Until", self._until())
        return f"types {text!r} into {column} of {name}"

    def _type(self, name: str, at: int, column: str, text: str) -> None:
        self._person.edit(CONTROL, at, column, text)
        self._chaos.oracle.admissions.touched(name, text if column == "Value" else None)

    def _value(self, name: str) -> str:
        return self._random.choice(VALUES[name.partition(" ")[0]])

    def _until(self) -> str:
        if self._random.random() < 0.4:
            return self._random.choice(NO_TIMES)
        seconds = self._chaos.world.clock.now() + self._random.choice(UNTIL_SECONDS)
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def _row(self, name: str) -> int | None:
        rows: list[list[Any]] = self._chaos.world.rows(CONTROL)
        at = rows[0].index("Name")
        names = [str(row[at]).strip().casefold() if len(row) > at else "" for row in rows]
        return names.index(name) if name in names else None
