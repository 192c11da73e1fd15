"""`ydc manifest`: write the list of files that a training program opens."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, cast

from cyclopts import Parameter

from youtube_download_coordinator.cli.application import WORK, app
from youtube_download_coordinator.cli.output import TO_STDOUT, binary_output, is_stdout
from youtube_download_coordinator.cli.queue_options import AS_SET, Flag, QueueOptions
from youtube_download_coordinator.cli.terminal import printable_lines, say
from youtube_download_coordinator.corpus.formats import FORMATS, FormatName
from youtube_download_coordinator.corpus.manifest import ManifestOptions, Paths, check_folder, naming
from youtube_download_coordinator.errors import UserError

if TYPE_CHECKING:
    from youtube_download_coordinator.coordinator import Coordinator
    from youtube_download_coordinator.storage.place import Place

_BY_SUFFIX: dict[str, FormatName] = {".csv": "csv", ".parquet": "parquet"}


@app.command(group=WORK)
def manifest(
    dest: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    *,
    format: Annotated[FormatName | None, Parameter(name=["--format", "-f"])] = None,
    segments: Literal["captions"] | None = None,
    split: Literal["channel"] | None = None,
    relative: Flag = False,
    absolute: Flag = False,
    urls: Flag = False,
    min_duration: float = 0,
    exclude: list[Literal["degraded", "gone"]] | None = None,
    product: str = "",
    accent: str | None = None,
    type: str | None = None,
    source: int | None = None,
    text: str | None = None,
    queue: QueueOptions = AS_SET,
) -> int:
    """Write a manifest of the files, for training programs.

    A manifest has one line for each video that is done and has a file. Without DEST it is published in `output_dir`, which makes
    the folder or bucket a complete data set. Without options, every manifest in `output_dir` is published again.

    ```
    ydc manifest
    ydc manifest --format audiofolder --split channel
    ydc manifest clips.jsonl --segments captions --accent pt-BR
    ydc manifest - --format csv --exclude degraded
    ```

    Parameters
    ----------
    dest
        The file or folder to write; `-` is the standard output.
    format
        `nemo` (JSON Lines), `audiofolder` (Hugging Face), `lhotse`, `csv` or `parquet`. Unless given, the format of the file's
        extension, or nemo.
    segments
        Write one line for each segment of the captions, where a person wrote them.
    split
        Write train, dev and test sets with 90, 5 and 5 percent of the channels. No channel is in two sets.
    relative
        Name files by paths relative to the manifest's folder, or to `output_dir` if that is elsewhere. The default.
    absolute
        Name files by absolute local paths.
    urls
        Name files by URLs: `s3://bucket/prefix/file`.
    min_duration
        Leave out files shorter than this, in seconds.
    exclude
        `degraded`: leave out files that are marked as degraded. `gone`: leave out videos that `ydc verify` did not find on
        YouTube. May be given several times.
    product
        Use the files of this product, such as `audio-wav` or `download`.
    accent
        Only videos with this Accent.
    type
        Only videos with this Type.
    source
        Only videos from the source with this ID.
    text
        Only videos with this text anywhere in their line: title, channel, captions, your own columns.
    """
    from youtube_download_coordinator.storage.opening import open_place

    if dest and dest.startswith("-") and dest != TO_STDOUT:
        raise UserError(f"there is no option {dest}: ydc manifest --help; a file of this name is ./{dest}")
    conditions = {"accent": accent, "type": type, "source_id": source, "text": text}
    given: dict[str, Any] = {
        "format": format or (_BY_SUFFIX.get(Path(dest).suffix.lower()) if dest else None),
        "paths": _paths(relative=relative, absolute=absolute, urls=urls),
        "segments": segments is not None,
        "split": split is not None,
        "min_seconds": min_duration,
        "without_degraded": "degraded" in (exclude or ()),
        "without_gone": "gone" in (exclude or ()),
        "product": product,
        **{name: value for name, value in conditions.items() if value is not None},
    }
    given = {name: value for name, value in given.items() if value not in (None, False, "", 0) or name == "text"}
    options = ManifestOptions(**given)
    coordinator = queue.coordinator()
    place = open_place(coordinator.config.output_dir)
    options.check(place)
    if dest is None:
        return _publish(coordinator, place, options if given else None)
    return _write(coordinator, place, options, dest)


def _paths(*, relative: bool, absolute: bool, urls: bool) -> Paths | None:
    given: dict[Paths, bool] = {"relative": relative, "absolute": absolute, "urls": urls}
    chosen = [name for name in given if given[name]]
    if len(chosen) > 1:
        raise UserError(f"--{chosen[0]} and --{chosen[1]}: give only one")
    return chosen[0] if chosen else None


def _publish(coordinator: Coordinator, place: Place, options: ManifestOptions | None) -> int:
    from youtube_download_coordinator.corpus.publication import publish

    published = publish(coordinator.queue, place, coordinator.config.state_dir, options)
    for name, counts in published.items():
        say(counts.describe(place.url(name)))
    return 0


def _write(coordinator: Coordinator, place: Place, options: ManifestOptions, dest: str) -> int:
    from youtube_download_coordinator.corpus.publication import write_manifest

    folder, names = _destinations(options, dest)
    name_file = naming(options.paths, place, folder)
    check_folder(options, name_file)
    if folder == Path(dest):
        _make_folder(folder)
    with ExitStack() as stack:
        files: list[IO[bytes]] = (
            [cast(IO[bytes], _Terminal())]
            if dest == TO_STDOUT and sys.stdout.isatty()
            else [stack.enter_context(binary_output(name)) for name in names]
        )
        counts = write_manifest(coordinator.queue, place, coordinator.config.state_dir, options, name_file, files)
    where = "the standard output" if is_stdout(names[0]) else names[0]
    say(counts.describe(where), problem=is_stdout(names[0]))
    return 0


def _destinations(options: ManifestOptions, dest: str) -> tuple[Path | None, list[str]]:
    """Return the manifest's folder, None for a stream, and the files to write. Raises UserError."""
    path, chosen = Path(dest), FORMATS[options.format]
    if is_stdout(dest) or (path.exists() and not path.is_file() and not path.is_dir()):
        if not chosen.is_text:
            raise UserError(f"{dest}: {options.format} cannot be written to a stream; name a file or a folder")
        return None, [dest]  # the lines of all splits in one stream; each line names its split
    if not (path.is_dir() or dest.endswith("/") or len(chosen.files) > 1):
        return path.parent, [str(path.with_name(name)) for name in options.names(path.name)]
    return path, [str(path / name) for name in options.names()]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {str(folder)!r} cannot be created: {error.strerror}") from None


class _Terminal:
    """A standard output that is a terminal. Control characters in the text do not reach it."""

    def write(self, content: bytes) -> None:
        sys.stdout.write(printable_lines(content.decode()))
