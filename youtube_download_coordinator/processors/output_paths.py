"""Determine the path of a video's file from a template. Fields are sanitized, so that no title leads out of the folder.

    {accent}/{channel}/{id}          media/Scottish/Kurzgesagt/UKwSQSFN4Nw.m4a
    {column:Gender}/{title}          media/f/A title [UKwSQSFN4Nw].m4a

A folder whose fields are all empty is left out. Two videos never share a path: if the template has no {id}, it is added to the
file's name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from string import Formatter
from typing import Any
from urllib.parse import unquote, urlsplit

from youtube_download_coordinator.models import VideoTask
from youtube_download_coordinator.text import did_you_mean

FIELDS = ("accent", "type", "channel", "channel_id", "id", "title", "source_id", "upload_date", "kind")
COLUMN = "column"
"""`{column:Name}` is a column that a person has added."""
NAME_MAX_BYTES = 180
"""File systems allow 255 bytes. The rest is for an extension, a language and the suffixes of temporary files."""
LITERAL_MAX_BYTES = 50
"""The longest text between the fields of one name."""
NAME_MAX_FIELDS = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A literal text, or a field."""

    literal: str = ""
    field: str = ""
    column: str = ""

    def value(self, values: Mapping[str, str], own: Mapping[str, str]) -> str:
        text = own.get(self.column, "") if self.field == COLUMN else values.get(self.field, "")
        return unicodedata.normalize("NFC", text).strip()  # before it is truncated, because it may become longer


_ID = (Piece(literal=" ["), Piece(field="id"), Piece(literal="]"))


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `names` are the names of its folders and, last, of the file."""

    names: tuple[tuple[Piece, ...], ...]

    @classmethod
    def read(cls, text: str) -> Template:
        """Parse a template. Raises ValueError, with one line that explains the problem."""
        names = tuple(tuple(_merged(_pieces(part))) for part in text.split("/"))
        for part, name in zip(text.split("/"), names, strict=True):
            _check_name(part, name)
        if not any(piece.field == "id" for name in names for piece in name):
            names = (*names[:-1], (*names[-1], *_ID))
        return cls(names)

    def place(self, task: VideoTask, kind: str, info: Mapping[str, Any]) -> PurePosixPath:
        """Return the file's path below the output folder, without extension. `info` is yt-dlp's and may be empty."""
        values = _values(task, kind, info)
        folders = [self._name(name, values, task.extra) for name in self.names[:-1]]
        file = self._name(self.names[-1], values, task.extra) or file_stem(task)
        return PurePosixPath(*(name for name in folders if name), file)

    def _name(self, name: Sequence[Piece], values: Mapping[str, str], own: Mapping[str, str]) -> str:
        """Fill in a name. All fields except the ID are truncated, so that the name is short enough."""
        fields = [piece for piece in name if piece.field]
        if fields and not any(piece.value(values, own) for piece in fields):
            return ""
        others = sum(piece.field != "id" for piece in fields)
        kept = sum(len((piece.literal or values["id"]).encode()) for piece in name if piece.field in ("", "id"))
        room = (NAME_MAX_BYTES - kept) // max(others, 1)
        texts = (
            piece.literal or (values["id"] if piece.field == "id" else _cut(piece.value(values, own), room))
            for piece in name
        )
        return safe_name("".join(texts))


def _values(task: VideoTask, kind: str, info: Mapping[str, Any]) -> dict[str, str]:
    date = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", str(info.get("upload_date") or ""))
    return {
        "accent": task.accent,
        "type": task.type,
        # YouTube sometimes leaves out the name of a channel.
        "channel": str(info.get("channel") or info.get("uploader") or info.get("channel_id") or ""),
        "channel_id": str(info.get("channel_id") or ""),
        "id": video_id(task),
        "title": str(info.get("title") or task.title),
        "source_id": str(task.source_id or ""),
        "upload_date": "-".join(date.groups()) if date else "",
        "kind": kind,
    }


# -- reading a template


def _pieces(part: str) -> Iterator[Piece]:
    try:
        parsed = list(Formatter().parse(part))
    except ValueError as error:
        raise ValueError(f"{part!r}: {str(error).lower()}; write {{id}}, and {{{{ for a bracket") from None
    for literal, field, spec, conversion in parsed:
        if literal:
            yield Piece(literal=literal)
        if field is not None:
            yield _field(field, spec or "", conversion)


def _field(name: str, spec: str, conversion: str | None) -> Piece:
    if name == COLUMN and spec and not conversion:
        return Piece(field=COLUMN, column=spec)
    if name in FIELDS and not spec and not conversion:
        return Piece(field=name)
    suggestion = did_you_mean(f"{{{name}}}", (f"{{{known}}}" for known in FIELDS))
    written = f"{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
    raise ValueError(
        f"there is no field {{{written}}}{suggestion} There are {', '.join(FIELDS)}, and {{column:Name}} for a custom column"
    )


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Join neighbouring literals, which a doubled bracket splits."""
    text = ""
    for piece in pieces:
        if not piece.field:
            text += piece.literal
            continue
        yield from [Piece(literal=text)] if text else []
        text = ""
        yield piece
    yield from [Piece(literal=text)] if text else []


def _check_name(part: str, name: Sequence[Piece]) -> None:
    literal = "".join(piece.literal for piece in name)
    if not name:
        raise ValueError(
            "it is a path below output_dir: it must not begin or end with a slash, or contain two in a row"
        )
    if part.startswith("."):
        raise ValueError(f"{part!r}: names that begin with a dot are reserved for the coordinator")
    if sum(piece.field == "id" for piece in name) > 1:
        raise ValueError(f"{part!r}: {{id}} occurs twice")
    if len(literal.encode()) > LITERAL_MAX_BYTES or len(name) > 2 * NAME_MAX_FIELDS + 1:
        raise ValueError(f"{part!r} is too long for one name")
    if any(not character.isprintable() or character in UNSAFE for character in literal):
        raise ValueError(
            f"{part!r} contains a character that some file systems do not allow in names: {' '.join(UNSAFE)}"
        )


# -- names


def file_stem(task: VideoTask) -> str:
    """Return the video's ID as the name of a file. It is unique for each row.

    On sites other than YouTube, whose IDs are not unique, it ends with a hash of the row's key. An ID that begins with `-` gets
    another character in front.
    """
    return safe_name(video_id(task))


def video_id(task: VideoTask) -> str:
    """Return the video's ID on YouTube, or for another site the end of its address and a hash of the row's key."""
    kind, _, youtube_id = task.key.partition("yt:v:")
    if not kind and re.fullmatch(r"[A-Za-z0-9_-]{11}", youtube_id):
        return youtube_id
    last = unquote(urlsplit(task.url).path).rstrip("/").rpartition("/")[2]
    return f"{safe_name(last.rpartition('.')[0] or last or 'video', 80)}-{key_digest(task)[:12]}"


def key_digest(task: VideoTask) -> str:
    """Return a hash of the row's key in hexadecimal digits, for names of files."""
    return hashlib.sha256((task.key or task.url).encode("utf-8", "replace")).hexdigest()


UNSAFE = '<>:"/\\|?*%$~'
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}


def safe_name(text: str, max_bytes: int = NAME_MAX_BYTES) -> str:
    """Return a non-empty name without separators that every file system allows.

    It does not begin with `-`, because programs would treat it as an option.
    """
    plain = unicodedata.normalize("NFC", text)
    safe = "".join(character if character.isprintable() and character not in UNSAFE else "_" for character in plain)
    name = _cut(safe.strip(" ."), max_bytes).strip(" .") or "_"
    return f"_{name}" if name.startswith("-") or name.partition(".")[0].upper() in _RESERVED else name


def _cut(text: str, max_bytes: int) -> str:
    return text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
