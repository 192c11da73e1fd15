"""What run forms ask for: the types of the flows' parameters. Prefect refuses a value that does not fit before a run is created.

Each flow's docstring says in `Args:` what a parameter is for: Prefect drops a description that stands in `Annotated`, and drops
the constraints where a parameter's default is a `Field`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from youtube_download_coordinator.processing import BUILT_INS

MAX_CONCURRENCY = 256
URL_MAX_CHARACTERS = 2000

Processor = Annotated[
    str,
    # A drop-down, and beside it a field for what nobody can list: the module:function of a person's own.
    WithJsonSchema(
        {
            "anyOf": [
                {"title": "Built-in", "type": "string", "enum": list(BUILT_INS)},
                {"title": "Your own", "type": "string", "minLength": 1, "pattern": r"^\S+$"},
            ]
        }
    ),
]
MaxVideos = Annotated[int, Field(ge=1)]
MaxMinutes = Annotated[float, Field(gt=0)]
Concurrency = Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)]
SourceUrl = Annotated[str, Field(min_length=1, max_length=URL_MAX_CHARACTERS, pattern=r"^\s*\S+\s*$")]
Label = Annotated[str, Field(max_length=200)]
RowIds = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
