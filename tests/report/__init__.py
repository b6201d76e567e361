"""``make report``: how sound and how tight the drop-ins for real daemons are, in figures."""
