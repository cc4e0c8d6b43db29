"""What one minute before a job is queued can show: each finding says what to do."""
