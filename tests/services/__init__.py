"""Small services with known answers: each does one thing, and what it needs for it is written beside it."""
