"""Plan the attempts to send one request: when to repeat it, and when to upload its media once more."""

from __future__ import annotations

from dataclasses import dataclass

from qwenvl_core.client.batch_chat import is_final
from qwenvl_core.client.media_uploads import UploadedRequest
from qwenvl_core.errors import QwenVLError
from qwenvl_core.transport.connection import HttpRequest
from qwenvl_core.transport.retry import RetryPolicy


@dataclass(slots=True)
class Attempts:
    """The attempts to send one request.

    Attributes:
        uploaded: The request with its uploads.
        http_request: The request as it is sent.
        retry_policy: Counts the attempts.
        should_renew: Whether the media must be uploaded once more before the next attempt.
        delay: Seconds to wait before it.
    """

    uploaded: UploadedRequest
    http_request: HttpRequest
    retry_policy: RetryPolicy
    should_renew: bool = False
    delay: float = 0.0

    def plan_next(self, error: QwenVLError) -> None:
        """Plan the attempt that follows a failed one.

        Raises:
            QwenVLError: `error`, if there is none.
        """
        if is_final(error, self.uploaded.prepared.settings):
            raise error
        self.should_renew = self.uploaded.should_renew(error)
        self.delay = 0.0 if self.should_renew else self.retry_policy.next_delay(error)
