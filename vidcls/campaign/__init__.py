"""Plans made of trainings."""
