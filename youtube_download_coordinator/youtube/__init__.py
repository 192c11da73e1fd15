"""All communication with YouTube, through yt-dlp.

listing.py lists sources, network.py configures connections, and error_rules.py translates errors with the tables of wordings.py.
Importing these modules does not import yt-dlp, which only child processes load.
"""
