"""Checks of about one minute before a job is queued; each finding says what to do."""
