"""``GET /``: what a person who opens the printed address in a browser sees."""

from typing import Final

from aiohttp import web

from runstone._version import __version__

PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Runstone</title>
<style>
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 12vh auto; padding: 0 1.5rem; }}
h1 {{ font-weight: 600; margin-bottom: 0; }}
code, pre {{ font: 14px/1.6 ui-monospace, monospace; }}
pre {{ padding: .8rem 1rem; border: 1px solid #8886; border-radius: 6px; overflow-x: auto; }}
small {{ opacity: .7; }}
</style>
</head>
<body>
<h1>Runstone</h1>
<small>version {__version__} is running</small>
<p>This version has no pages yet; its runs are read on the command line and through the API.</p>
<pre>runstone runs list
runstone runs compare RUN RUN</pre>
<ul>
<li><a href="/api/v1/experiments">experiments</a></li>
<li><a href="/api/v1/openapi.json">the read API (OpenAPI)</a></li>
<li><a href="/api/v1/ingest">how far ingest has come</a> · <a href="/ready">ready</a></li>
</ul>
<p>Training code on this machine finds this server by</p>
<pre>RUNSTONE_TRACKING_URI=<span id="here">http://127.0.0.1:5000</span></pre>
<script>document.getElementById("here").textContent = location.origin;</script>
</body>
</html>
"""


async def welcome(_request: web.Request) -> web.Response:
    """The page, as HTML."""
    return web.Response(text=PAGE, content_type="text/html")
