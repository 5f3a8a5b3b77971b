"""What tests and benchmarks both stand on: failing servers, replies by the thousand, backends."""
