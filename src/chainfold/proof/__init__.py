"""Proofs for those who do not trust us: that an event is in a log, and that a log has only grown."""
