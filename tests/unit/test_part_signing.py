"""The signature of a part's URL, against the published example of Amazon's documentation."""

from urllib.parse import parse_qs, urlsplit

from runstone_gateway.stores.parts import with_query

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, its example of a signed GET
SIGNED = (
    "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=none"
)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_the_published_example_has_its_published_signature():
    found = parse_qs(urlsplit(with_query(SIGNED, "GET", {}, SECRET)).query)
    assert found["X-Amz-Signature"] == ["aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"]


def test_what_names_the_part_is_signed_with_the_rest():
    one = with_query(SIGNED, "PUT", {"partNumber": "1", "uploadId": "a/b+c="}, SECRET)
    two = with_query(SIGNED, "PUT", {"partNumber": "2", "uploadId": "a/b+c="}, SECRET)
    assert "partNumber=1&uploadId=a%2Fb%2Bc%3D" in one
    assert one.rpartition("=")[2] != two.rpartition("=")[2]
