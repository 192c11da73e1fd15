"""Types of the flows' parameters, for the run forms. Prefect rejects an invalid value before it creates a run.

Describe a parameter in the flow's docstring, under `Args:`. Prefect ignores a description given with the type, and reads the
title only from `json_schema_extra`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema
from pydantic.fields import FieldInfo

from youtube_download_coordinator.corpus.formats import FormatName
from youtube_download_coordinator.processors.names import BUILT_INS
from youtube_download_coordinator.queue.priority import PRIORITY_MAX

MAX_CONCURRENCY = 256
URL_MAX_CHARACTERS = 2000
LABEL_MAX_CHARACTERS = 200


def _titled(title: str) -> FieldInfo:
    field: FieldInfo = Field(json_schema_extra={"title": title})
    return field


Processor = Annotated[
    str | None,
    # A drop-down of the built-in processors, and a text field for several, or for the user's own module:function.
    WithJsonSchema(
        {
            "anyOf": [
                {"title": "Built-in", "type": "string", "enum": [*BUILT_INS, "audio,subtitles,metadata"]},
                {"title": "Your own, or several", "type": "string", "minLength": 1, "pattern": r"^\S+(, *\S+)*$"},
                {"title": "As set", "type": "null"},
            ]
        }
    ),
    _titled("Processor"),
]
MaxVideos = Annotated[Annotated[int, Field(ge=1)] | None, _titled("Videos at most")]
MaxMinutes = Annotated[Annotated[float, Field(gt=0)] | None, _titled("Minutes at most")]
PerHour = Annotated[Annotated[int, Field(ge=1)] | None, _titled("Videos an hour at most")]
OlderThanDays = Annotated[float, Field(ge=0), _titled("Days since the last check")]
Concurrency = Annotated[Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] | None, _titled("Videos at a time")]
OnePerMachine = Annotated[bool, _titled("One per machine")]
SourceUrl = Annotated[
    str, Field(min_length=1, max_length=URL_MAX_CHARACTERS, pattern=r"^\s*\S+\s*$"), _titled("Address")
]
Accent = Annotated[str, Field(max_length=LABEL_MAX_CHARACTERS), _titled("Accent")]
Type = Annotated[str, Field(max_length=LABEL_MAX_CHARACTERS), _titled("Type")]
SourcesFile = Annotated[Path | None, _titled("Sources file")]
FirstVideos = Annotated[Annotated[int, Field(ge=1)] | None, _titled("First videos")]
Priority = Annotated[
    Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX)] | None,
    _titled("Priority"),
]
Kinds = Annotated[list[Literal["videos", "shorts", "streams", "members"]] | None, _titled("Kinds")]
MinDuration = Annotated[str, Field(max_length=LABEL_MAX_CHARACTERS), _titled("Shortest duration")]
RowIds = Annotated[Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] | None, _titled("IDs of rows")]
ManifestFormatName = Annotated[FormatName | None, _titled("Format")]
