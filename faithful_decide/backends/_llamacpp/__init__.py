"""llama.cpp in this process: its engine, and the files that it reads."""
