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
}
"""What is longer than a word."""
