"""Strict reading of a sweep file: parameters, command, early stopping."""
