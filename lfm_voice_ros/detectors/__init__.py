"""One file per way of finding a tool call, each behind the port Detector. assembly.py puts them together."""
