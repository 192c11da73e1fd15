"""Publish the manifests and the card of the corpus again, so that they include the day's videos."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger

from tasks.context import fail_with_message
from tasks.forms import ManifestFormatName
from tasks.machine import alone_on_machine
from tasks.reports import finished, report_manifests, skipped
from youtube_download_coordinator import Coordinator
from youtube_download_coordinator.corpus.card import PAGE, write_card_again
from youtube_download_coordinator.corpus.manifest import ManifestOptions
from youtube_download_coordinator.corpus.publication import publish, published
from youtube_download_coordinator.prefect.flow_run import host, open_coordinator
from youtube_download_coordinator.storage.opening import open_place


@flow(name="publish-manifest", flow_run_name=f"publish the manifest on {host()}", persist_result=False)
@fail_with_message
def publish_manifest(format: ManifestFormatName = None) -> State[Any]:
    """Publish the manifests and the card in output_dir again, with the current files (docs/corpus.md).

    Args:
        format: Also publish a manifest of all videos in this format. None: only repeat the manifests that were published before,
            with their options.
    """
    coordinator = open_coordinator()
    options = ManifestOptions(format=format) if format else None
    return alone_on_machine(coordinator, "manifest", lambda _: _publish(coordinator, options), spreads=False)


def _publish(coordinator: Coordinator, options: ManifestOptions | None) -> State[Any]:
    place = open_place(coordinator.config.output_dir)
    if options is None and not published(place).formats:
        return skipped(f"{place.address} has no manifest yet: run ydc manifest, or give a format")
    counts = publish(coordinator.queue, place, coordinator.config.state_dir, options)
    report_manifests(place.address, counts)
    written = [manifest.describe(name) for name, manifest in counts.items()]
    if write_card_again(coordinator.queue, place, coordinator.config, get_run_logger().warning):
        written.append(f"the card in {PAGE}")
    return finished("; ".join(written), failed=False, data=counts)
