#!/usr/bin/python3
"""POST ?job=NAME starts a job that outlives this request. A CGI program."""

import os
import pathlib
import subprocess
import urllib.parse

job = urllib.parse.parse_qs(os.environ["QUERY_STRING"])["job"][0]
if os.environ["REQUEST_METHOD"] == "POST":
    subprocess.Popen([pathlib.Path(__file__).with_name("job.py"), job], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print("Status: 202 Accepted\nContent-Type: text/plain\n")
