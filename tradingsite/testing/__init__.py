"""What the tests stand on: throwaway services, real processes of the desk, patience. Never imported by the product."""
