"""The processes that train trials: a worker in a task, one child for each trial."""
