"""A sweep file, read strictly: parameters, command, early stopping."""
