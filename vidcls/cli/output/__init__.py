"""Output of commands: tables and text that are safe to print, progress bars."""
