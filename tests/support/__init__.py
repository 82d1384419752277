"""The vocabulary of the end-to-end tests: programs, web servers, a commands client and an
EventSource reader.

Python's standard library and zmq only. A test begins with a Bench (bench.py), which starts programs
in a folder of its own and ends every one of them, or with a Site (site.py): broker, workers and a
web server that stand already.
"""
