"""This process: its signals, its sockets, its memory and threads."""
