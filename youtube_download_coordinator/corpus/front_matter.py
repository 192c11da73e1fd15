"""Write the YAML block at the beginning of a dataset card for Hugging Face."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from youtube_download_coordinator.corpus.card_page import Card
from youtube_download_coordinator.corpus.literal import one_line
from youtube_download_coordinator.corpus.recordings import RECORDINGS
from youtube_download_coordinator.corpus.statistics import ACCENT, LANGUAGE, SUFFIX, Shares

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
_LARGEST = "10M<n<100M"
_MANIFEST = re.compile(r"(?P<name>metadata|manifest)(?:\.(?P<split>train|dev|test))?\.(?P<kind>jsonl|csv|parquet)")
_PREFERRED = ("metadata.jsonl", "manifest.jsonl", "manifest.parquet", "manifest.csv")
_SPLITS = {None: "train", "dev": "validation"}
"""Hugging Face's names for the splits of `ydc manifest`."""
_LICENSE_OF_EACH = {
    "license": "other",
    "license_name": "licence-of-each-recording",
    "license_link": "README.md",
}


def front_matter(card: Card, manifests: Sequence[str]) -> str:
    """Return the block with its fences. `manifests` are the paths of the files with records."""
    numbers = card.numbers
    values: dict[str, Any] = {
        "pretty_name": one_line(card.name),
        **({"license": card.license} if card.license else _LICENSE_OF_EACH),
        "language": sorted(_languages(numbers.shares[LANGUAGE])),
        "task_categories": [
            *(["automatic-speech-recognition"] if numbers.with_text else []),
            *(["audio-classification"] if any(share.value for share in numbers.shares[ACCENT].first) else []),
        ],
        "size_categories": [next((name for most, name in _SIZES.items() if numbers.files < most), _LARGEST)],
        "tags": ["audio", "speech", "youtube"],
        "configs": _configs(manifests, numbers.shares[SUFFIX]),
    }
    known = {name: value for name, value in values.items() if value}
    return f"---\n{yaml.safe_dump(known, allow_unicode=True, sort_keys=False, width=1000)}---\n\n"


def _languages(languages: Shares) -> set[str]:
    """Return the ISO 639 codes in YouTube's codes (`pt-BR`)."""
    codes = (share.value.partition("-")[0].lower() for share in languages.first)
    return {code for code in codes if re.fullmatch(r"[a-z]{2,3}", code)}


def _configs(manifests: Sequence[str], suffixes: Shares) -> list[dict[str, Any]]:
    """Return the load configuration of the data set: as audio for an AudioFolder, else as lines of a manifest."""
    matches = [match for path in manifests if (match := _MANIFEST.fullmatch(path))]
    kinds = {f"{match['name']}.{match['kind']}" for match in matches}
    kind = next((name for name in _PREFERRED if name in kinds), "")
    media = [f"**/*{share.value}" for share in suffixes.first if re.fullmatch(r"\.[a-z0-9]{2,5}", share.value)]
    data_files = [
        {
            "split": _SPLITS.get(match["split"], match["split"]),
            "path": [match[0], *(media if match["name"] == "metadata" else [])],
        }
        for match in matches
        if kind == f"{match['name']}.{match['kind']}"
    ]
    order = {"train": 0, "validation": 1, "test": 2}
    data_files.sort(key=lambda file: order[str(file["split"])])
    return [{"config_name": "default", "data_files": data_files or [{"split": "train", "path": [RECORDINGS]}]}]
