"""Benchmarks: each module measures one thing; ``make bench`` runs them all."""
