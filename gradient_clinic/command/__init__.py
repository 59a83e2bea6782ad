"""``gradient-clinic``: a network looked at before it trains, and a clinic spoken to, from a terminal or a script."""
