"""Prefect tasks: each adds a name, retries and artifacts to one call of the library.

A video's attempts are counted in its row, for all machines together. Prefect's own retries are used only for steps that are safe
to repeat within one attempt.
"""
