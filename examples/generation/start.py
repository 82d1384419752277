#!/usr/bin/python3
"""POST ?id=ID starts a generation that outlives this request. A CGI program."""

import os
import pathlib
import subprocess
import urllib.parse

generation = urllib.parse.parse_qs(os.environ["QUERY_STRING"])["id"][0]
if os.environ["REQUEST_METHOD"] == "POST":
    subprocess.Popen([pathlib.Path(__file__).with_name("generate.py"), generation],
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL, start_new_session=True)
print("Status: 202 Accepted\nContent-Type: text/plain\n")
