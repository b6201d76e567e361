"""The report on one service: computed here as frozen values, rendered elsewhere (HTML, text, JSON)."""
