"""Describe a corpus for programs: JSON-LD in the vocabulary Croissant 1.0 (https://docs.mlcommons.org/croissant)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from youtube_download_coordinator.corpus.recordings import RECORDINGS
from youtube_download_coordinator.corpus.statistics import LANGUAGE, LICENSE, PROPERTIES, Statistics

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Croissant's own context, verbatim, because validators warn about any other."""
_FIELDS = {
    "id": ("sc:Integer", "The ID of the video's row in the queue."),
    "url": ("sc:URL", "The address of the video."),
    "video_id": ("sc:Text", "YouTube's ID of the video."),
    "path": ("sc:Text", "The path of the file below the root of the data set."),
    "product": ("sc:Text", "What made the file."),
}
"""Fields that every recording has. A column without values is an error for programs that read the records."""


class Distributed(NamedTuple):
    """A file of the data set in the description."""

    path: str
    url: str
    """A path relative to the description, or an address."""
    content_type: str
    bytes: int
    sha256: str


def describe(
    numbers: Statistics, *, name: str, description: str, license: str, files: Sequence[Distributed], contact: str
) -> bytes:
    """Return the description. `files` contains RECORDINGS."""
    day = numbers.last_collected[:10]
    values: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "license": license,
        "url": "README.md",
        "isLiveDataset": True,
        "creator": {"@type": "sc:Person", "name": contact} if contact else None,
        "citeAs": ", ".join(part for part in (name, day, contact) if part),
        "datePublished": day,
        "version": ".".join(f"{int(part)}" for part in day.split("-")) if day else "0.0.0",
        "inLanguage": [share.value for share in numbers.shares[LANGUAGE].first if share.value],
        "keywords": ["speech", "YouTube"],
        "rai:dataCollection": "Files that YouTube serves, fetched by yt-dlp through the YouTube Download Coordinator.",
        "rai:dataCollectionType": "Web Scraping",
        "rai:dataCollectionTimeframe": [
            moment for moment in (numbers.first_collected, numbers.last_collected) if moment
        ],
        "rai:personalSensitiveInformation": "Voices, and the names of channels, of the people who are heard.",
        "rai:dataBiases": f"{numbers.shares[LICENSE].different} licences; the card has the hours by {', '.join(PROPERTIES[:6])}.",
        "distribution": [_file_object(file) for file in files],
        "recordSet": [_record_set()],
    }
    known = {key: value for key, value in values.items() if value not in (None, "", [])}
    return json.dumps(known, ensure_ascii=False, indent=2).encode() + b"\n"


def _file_object(file: Distributed) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.url,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": file.content_type,
        "sha256": file.sha256,
    }


def _record_set() -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "recordings",
        "name": "recordings",
        "description": "A line for each media file, packed by gzip. Lines have more fields, as far as they are known.",
        "key": {"@id": "recordings/path"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"recordings/{name}",
                "name": f"recordings/{name}",
                "description": description,
                "dataType": data_type,
                "source": {"fileObject": {"@id": RECORDINGS}, "extract": {"column": name}},
            }
            for name, (data_type, description) in _FIELDS.items()
        ],
    }
