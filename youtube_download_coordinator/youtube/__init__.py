"""Everything that talks to YouTube, through yt-dlp: listing.py lists, network.py is the way there, verdicts.py reads its errors.

Imported without yt-dlp, which the children alone load.
"""
