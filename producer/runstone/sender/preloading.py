"""Imports at the start what the standard library and aiokafka import only when they first need it.

The sender outlives the environment that it was started from: a job's virtual environment may be removed while
the sender still delivers what the job has logged. What is imported by then is all there is. The modules of
this package are imported by `process` at the start; nothing in them may import within a function.
"""

import concurrent.futures.thread
import email.parser
import encodings.ascii
import encodings.idna  # looking up a host's name
import encodings.latin_1
import encodings.utf_8
import http.client
import linecache  # showing a trace in the log
import ssl
import stringprep
import tokenize
import traceback
import unicodedata
from typing import Final

import aiokafka.conn
import aiokafka.errors
import aiokafka.producer.producer

PRELOADED: Final = (
    *(aiokafka.conn, aiokafka.errors, aiokafka.producer.producer),
    *(concurrent.futures.thread, email.parser, http.client, linecache, ssl, tokenize, traceback),
    *(encodings.ascii, encodings.idna, encodings.latin_1, encodings.utf_8, stringprep, unicodedata),
)
"""So that they are used, and nobody takes the imports for forgotten ones."""
