"""The worker: the one process that holds the IB connection and the living orders, fills and positions."""
