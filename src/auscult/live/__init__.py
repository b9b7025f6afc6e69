"""Beside the machine: sound as it comes, windows, alarms, a history, and outputs that get each alarm."""
