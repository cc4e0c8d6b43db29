"""Data sets of users: `data.target` names a class, or a function that makes a data set of `(clip, label)`."""
