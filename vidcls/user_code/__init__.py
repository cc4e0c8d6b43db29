"""Code of users: the classes that `target: module:Name` in a spec stands for."""
