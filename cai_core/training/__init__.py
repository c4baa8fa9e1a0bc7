"""Training stages: pure datasets and recipes, and the trainers, the only part that needs torch."""
