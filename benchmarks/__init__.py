"""What the project claims about speed, memory and accuracy, each against a named peer, in one run."""
