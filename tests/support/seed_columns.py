"""The tabs and columns of the first implementation, as its README has people make them."""

SEED_SOURCE_COLUMNS = ["ID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type"]
SEED_VIDEO_COLUMNS = [
    "ID", "SourceID", "URL", "Status", "ClaimedBy", "ClaimedAt", "Accent", "Type", "Duration", "RetryCount",
]  # fmt: skip
