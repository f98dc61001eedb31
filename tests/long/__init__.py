"""Long forms of tests, run by `make test-long` and not by `make test`."""
