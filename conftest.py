"""Fixtures for every test; what they stand on is in tradingsite/testing."""

pytest_plugins = [
    "tradingsite.testing.fixtures",
    "tradingsite.testing.live",
    "tradingsite.testing.live_desk",
    "tradingsite.testing.browser",
]
