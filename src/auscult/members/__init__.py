"""Members: from a recipe's tables to features, front ends and fitted models, and their scale."""
