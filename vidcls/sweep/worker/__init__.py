"""Processes that train trials: one worker per task, one child process per trial."""
