"""Everything that talks to YouTube, through yt-dlp: listing.py lists, network.py is the way there, youtube/error_rules.py reads its errors.

Imported without yt-dlp, which the children alone load.
"""
