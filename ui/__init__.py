"""What pages share: the look, cards, the live view of a chain, and the process's services."""
