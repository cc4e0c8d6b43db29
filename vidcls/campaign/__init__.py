"""Studies made of several trainings, and checks before a training."""
