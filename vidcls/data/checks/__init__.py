"""Every video decoded once, in order, and what that tells: training needs it, a person should know it."""
