"""Prefect tasks: each adds a name, retries and artifacts to one call of the library.

A video's attempts are counted in its row, so that they hold across machines. Prefect's own retries surround steps that are safe
to repeat inside one attempt.
"""
