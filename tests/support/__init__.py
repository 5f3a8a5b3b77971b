"""What tests and benchmarks both stand on: servers that fail, replies by the thousand, small backends."""
