"""Prefect flows, for operators to schedule and trigger. They are thin: tasks/ and the library do the work.

No class and no exception is defined here: Prefect may load a flow's file a second time under another name.
"""
