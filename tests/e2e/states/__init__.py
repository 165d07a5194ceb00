"""Broken states on real containers: what the status says, how soon after the fact, and whether a repair brings it back.

lanes.py    the table: lanes of rows, each row one way to break a service
run.py      runs the lanes beside each other and measures
place.py    one service in one namespace, and quick requests
"""
