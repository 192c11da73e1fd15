"""Prefect flows for operators to schedule and trigger. They are thin: tasks/ and the library do the work.

Define no classes or exceptions here, because Prefect may load a flow's file a second time under another name.
"""
