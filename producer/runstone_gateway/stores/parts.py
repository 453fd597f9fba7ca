"""Uploads in parts that a client puts straight into an S3 service (multipart), by signed URLs.

obstore signs a URL of a whole object, but not one of a part. So its URL is taken, which has everything that
depends on the service and the credentials but the secret, the query is extended by what names the part, and
the signature is made anew by the same rule (AWS Signature Version 4, query parameters):
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
Where the secret is not in the environment (a machine's role) there are no parts: clients then send the file
in one piece through the gateway.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree import ElementTree as ET

import aiohttp
import obstore
from obstore.store import S3Store
from yarl import URL

from runstone_gateway.stores.store import MissingFileError, Part, StoreAwayError

SIGNED_FOR: Final = timedelta(minutes=15)
"""How long a part's URL can be used; a client that is slower sends the file in one piece."""

_NAMESPACE: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def with_query(signed: str, method: str, query: Mapping[str, str], secret: str) -> str:
    """The URL *signed* by obstore, with *query* added and signed anew. Pure."""
    parts = urlsplit(signed)
    fields = dict(parse_qsl(parts.query, keep_blank_values=True))
    del fields["X-Amz-Signature"]
    named = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in (fields | dict(query)).items())
    text = "&".join(f"{name}={value}" for name, value in named)
    request = f"{method}\n{parts.path}\n{text}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = fields["X-Amz-Credential"].partition("/")[2]
    said = "\n".join(
        ("AWS4-HMAC-SHA256", fields["X-Amz-Date"], scope, hashlib.sha256(request.encode()).hexdigest())
    )
    key = b"AWS4" + secret.encode()
    for part in (*scope.split("/"), said):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{text}&X-Amz-Signature={key.hex()}"


class Parts:
    """Used on the gateway's loop; its connections are made when first needed."""

    def __init__(self, store: S3Store, environment: Mapping[str, str] = os.environ) -> None:
        self._store = store
        self._secret = environment.get("AWS_SECRET_ACCESS_KEY", "")
        self._session: aiohttp.ClientSession | None = None

    async def begin(self, key: str, parts: int) -> tuple[str, list[str]] | None:
        """The upload's id and the URL to put each part to; None without the secret."""
        if not self._secret:
            return None
        answer = await self._send("POST", key, {"uploads": ""})
        upload = answer.findtext(f"{_NAMESPACE}UploadId") or answer.findtext("UploadId")
        if not upload:
            raise StoreAwayError("the object store begins no upload: its answer has no id")
        signed = await obstore.sign_async(self._store, "PUT", key, SIGNED_FOR)
        urls = [
            with_query(signed, "PUT", {"partNumber": str(number), "uploadId": upload}, self._secret)
            for number in range(1, parts + 1)
        ]
        return upload, urls

    async def complete(self, key: str, upload: str, parts: Sequence[Part]) -> bool:
        """Make the object; False without the secret. Raises `MissingFileError` where it has no such parts."""
        if not self._secret:
            return False
        document = ET.Element("CompleteMultipartUpload")
        for part in parts:
            element = ET.SubElement(document, "Part")
            ET.SubElement(element, "PartNumber").text = str(part.number)
            ET.SubElement(element, "ETag").text = part.tag
        answer = await self._send("POST", key, {"uploadId": upload}, ET.tostring(document))
        if answer.tag.rpartition("}")[2] == "Error":  # S3 may say so after it has begun to answer 200
            raise StoreAwayError(f"the object store: {answer.findtext('Message')}")
        return True

    async def abort(self, key: str, upload: str) -> bool:
        """Throw the parts away; False without the secret. Raises `MissingFileError`."""
        if not self._secret:
            return False
        await self._send("DELETE", key, {"uploadId": upload})
        return True

    async def close(self) -> None:
        """Give back connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, method: str, key: str, query: Mapping[str, str], body: bytes | None = None
    ) -> ET.Element:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=110, sock_connect=5))
        signed = await obstore.sign_async(self._store, "GET", key, SIGNED_FOR)
        url = URL(with_query(signed, method, query, self._secret), encoded=True)
        try:
            async with self._session.request(method, url, data=body) as answer:
                said = await answer.read()
        except (TimeoutError, aiohttp.ClientError) as away:
            raise StoreAwayError(f"the object store does not answer ({type(away).__name__})") from away
        if answer.status in {400, 404}:
            raise MissingFileError(f"the object store has no such upload or parts ({answer.status})")
        if answer.status >= 300:
            raise StoreAwayError(f"the object store answers {answer.status} {answer.reason}")
        try:
            # the operator's own store; expat neither fetches entities nor lets them grow without bounds
            return ET.fromstring(said) if said else ET.Element("Nothing")  # noqa: S314
        except ET.ParseError as wrong:
            raise StoreAwayError(f"the object store's answer is no XML: {wrong}") from wrong
