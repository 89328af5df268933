"""What `gorun-mem explain` tells besides words."""

from typing import Final

TOPICS: Final = {
    "exit-codes": "What each exit code says.",
    "calibration": "How far simulated locks are from measured ones, and what was fitted.",
    "schema": "The JSON Schema of a log's lines, which is the contract.",
    "mutexes": "The locks that --mutex takes, each in a line.",
    "policies": "The searches for free memory that --policy takes.",
    "strategies": "Who goes next: what --strategy takes, of run and of explore.",
    "detectors": "What a search looks for besides how runs end, and how to write one of your own.",
    "events": "What a log says, one event a line.",
    "steps": "What an M does in one step, and what follows from it: a lane's words.",
    "operations": "What an M of a program of one's own may await.",
    "sync": "What Ms share and wait for: locks, channels, words to write programs with.",
    "scenarios": "Scripts over the memory layer, and the lessons.",
    "verbs": "What the command line does.",
}
"""What is longer than a word."""
