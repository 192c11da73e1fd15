"""Turn the files of a queue into a corpus: typed records, manifests and a card.

from youtube_download_coordinator import corpus

for recording in corpus.read("s3://bucket/prefix"):
    print(recording.path, recording.seconds, recording.accent)
"""

from youtube_download_coordinator.corpus.recordings import Recording, Segment, read

__all__ = ["Recording", "Segment", "read"]
