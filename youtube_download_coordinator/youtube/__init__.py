"""Everything that talks to YouTube, through yt-dlp: listing.py lists, network.py is the way there, error_rules.py reads errors.

Imported without yt-dlp, which only the children load.
"""
