"""Everything that talks to YouTube, through yt-dlp.

listing.py lists sources, network.py makes the connection, error_rules.py translates errors by the tables of wordings.py. Nothing
here imports yt-dlp when it is imported: only child processes load it.
"""
