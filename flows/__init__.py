"""Prefect flows: what an operator schedules and triggers. Thin; the work is done by tasks/ and the library.

No class and no exception is defined in here: Prefect may load a flow's file a second time under another name.
"""
