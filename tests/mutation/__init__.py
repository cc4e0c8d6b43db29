"""Mutation testing of the numerics (`make mutate`): its score, and the changes that no test can notice."""
