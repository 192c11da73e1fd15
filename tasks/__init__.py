"""Prefect tasks: names, retries and artifacts around one call of the library each.

A video's attempts live in its row, where they hold across machines (README); Prefect's own retries go around steps that are
safe to repeat inside one attempt.
"""
