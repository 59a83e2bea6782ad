"""The instrument: what measures one network while it trains. It needs no service, no database and no queue."""
