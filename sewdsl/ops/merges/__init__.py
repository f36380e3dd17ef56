"""Merges: functions of several operands that all begin at one value. Those of a branch and a shortcut are joins."""
