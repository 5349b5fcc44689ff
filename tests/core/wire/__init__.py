import pytest

pytest.register_assert_rewrite("tests.core.wire.openai_requests")
