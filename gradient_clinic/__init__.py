"""The instrument: what measures one network while it trains, and judges it. It needs no service, database or queue."""
