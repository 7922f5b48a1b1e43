"""Which requests bear a signature or a digest of their body. What becomes of them: tests/security/test_signing.py."""

import pytest

from sidecar.requests.signatures import covers_body, without_aws

AWS = (("Authorization", "AWS4-HMAC-SHA256 Credential=a"), ("X-Amz-Date", "1"), ("X-Opaque-Id", "7"))


@pytest.mark.parametrize("name", ["Content-Digest", "digest", "Content-MD5", "Signature-Input", "X-Amz-Content-SHA256"])
def test_a_digest_covers_the_body(name: str) -> None:
    """Under any spelling of its name."""
    assert covers_body(((name, "x"),), ())


def test_a_signature_covers_the_body_in_the_header_and_in_the_url() -> None:
    """Other credentials do not."""
    assert covers_body(AWS, ())
    assert covers_body((), (("x-amz-signature", "0a"),))
    for scheme in ("Basic YQ==", "ApiKey a", "Bearer AWS4-HMAC-SHA256", ""):
        assert not covers_body((("Authorization", scheme),), (("q", "X-Amz-Signature"),))


def test_only_an_aws_signature_is_taken_out() -> None:
    """With what belongs to it."""
    assert (("X-Opaque-Id", "7"),) == without_aws(AWS)
    basic = (("Authorization", "Basic a"), ("X-Amz-Date", "1"))
    assert basic == without_aws(basic)
